"""The history of a watched model as one SVG: a column for each window, a panel for each measure, limits drawn in.

Numbers and finished words in, one string out; nothing here knows the ledger or a policy. Columns stand in the order of
the windows and are equally wide, so that a slow and a fast schedule read alike; where windows are missing between two,
the line breaks and the place is marked. What lies beyond the scale is drawn at its edge, with an arrow. Neighbours:
:mod:`governance.reports.svg` has the pieces, ``governance.css`` the colours. Not guaranteed: that every word has room;
a label that would lie on another one is left out, and its number stands in the table beside the chart.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from governance.reports import svg

WIDTH, LEFT, RIGHT = 971, 148, 896
WIDEST_COLUMN = 48.0
"""So that three windows do not fill the chart."""

TOP, PANEL_GAP, FOOT = 64, 16, 22
BARS_HEIGHT = 32
ROOM_FOR_DAY = 46
"""Pixels between two dates on the axis."""

BEYOND = 6.0
"""How many times the highest limit a panel reaches up; what is higher is drawn at the edge."""


@dataclass(frozen=True)
class Point:
    """What one window says of one measure.

    Attributes:
        value: The estimate; ``None`` where there is none.
        low: Lower end of its interval.
        high: Upper end of its interval.
        tone: ``""``, ``"w"`` (beyond a limit) or ``"b"`` (beyond the worst one).
        small: Whether it is missing for want of rows: drawn as a dashed ring on the base line.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    tone: str = ""
    small: bool = False


@dataclass(frozen=True)
class Line:
    """A limit, or what was signed, window by window; drawn as steps.

    Attributes:
        values: One for each window; ``None`` where it was not in force.
        name: What crossing it means, written at its end.
        style: ``limit``, ``warnline`` or ``line-ref``.
    """

    values: Sequence[float | None]
    name: str
    style: str = "limit"


@dataclass(frozen=True)
class Panel:
    """One measure over all windows.

    Attributes:
        title: Its name.
        notes: Up to two lines below.
        points: One for each window.
        lines: What it is held against.
        digits: Decimals of its numbers.
        later: What is said where the last windows have no value yet.
        empty: What is said where none has one.
        height: Pixels.
    """

    title: str
    notes: Sequence[str]
    points: Sequence[Point]
    lines: Sequence[Line] = ()
    digits: int = 2
    later: str = ""
    empty: str = "not measured"
    height: int = 52


@dataclass(frozen=True)
class Bars:
    """Two counts over all windows, the second a part of the first.

    Attributes:
        title: Its name.
        notes: Up to two lines below.
        whole: One for each window.
        part: One for each window, drawn inside.
    """

    title: str
    notes: Sequence[str]
    whole: Sequence[int]
    part: Sequence[int]


@dataclass(frozen=True)
class Day:
    """One window: what was decided, and where a click on it leads.

    Attributes:
        date: As the axis says it, in short (``12``), and at the beginning of a month or of the chart (``12 Nov``).
        icon: Id of a symbol; or one of ``ring``, ``full`` (filled), ``dashed`` and ``dash``, which are small.
        word: What stands below the icon; empty for the small ones.
        tone: ``block``, ``warn``, ``link`` or ``muted``.
        href: The address of the day.
        told: The whole day in a sentence.
        after_gap: Whether windows are missing before it.
        current: Whether it is the one that is shown.
    """

    date: tuple[str, str]
    icon: str
    word: str
    tone: str
    href: str
    told: str
    after_gap: bool = False
    current: bool = False


@dataclass(frozen=True)
class Term:
    """What served, from one position to another; a position counts columns from the left, and may be a fraction."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Change:
    """A release or a roll back, as a vertical line.

    Attributes:
        position: In columns from the left.
        told: What happened and when.
        back: Whether it went back.
    """

    position: float
    told: str
    back: bool = False


def timeline(
    name: str,
    finding: str,
    days: Sequence[Day],
    terms: Sequence[Term] = (),
    changes: Sequence[Change] = (),
    panels: Sequence[Panel | Bars] = (),
    axis: str = "windows by day",
) -> str:
    """Return the whole chart.

    Args:
        name: Its title, for who does not see it; also makes the ids of title and description.
        finding: What it shows, in a sentence or two.
        days: The windows, oldest first.
        terms: What served.
        changes: Releases and roll backs.
        panels: The measures, from the top; each with one point for each day.
        axis: What the words below the columns are.
    """
    if not days:
        return ""
    columns = _Columns(len(days))
    heads, drawn, bottom = _stacked(panels, days, columns)
    height = bottom + FOOT
    parts = [
        *_picks(days, columns, bottom),
        '<g class="above">',
        *_changes(changes, columns, bottom),
        *_gaps(days, columns, bottom),
        *_decisions(days, columns),
        *_serving(terms, columns),
        *drawn,
        *_dates(days, columns, height - 5),
        "</g>",
    ]
    heads += [svg.text(0, 15, "Decision", "t-b"), svg.text(0, 50, "Serving", "t-m")]
    heads += [svg.text(0, height - 5, axis, "t-m")]
    # Two drawings of one coordinate system: in a narrow window the right one slides below the left one.
    beside = (
        f'<svg class="chart heads" width="{LEFT}" height="{height}" viewBox="0 0 {LEFT} {height}" '
        f'aria-hidden="true">{"".join(heads)}</svg>'
    )
    return f'<div class="timeline">{beside}{_accessible(height, name, finding, parts)}</div>'


def _stacked(
    panels: Sequence[Panel | Bars], days: Sequence[Day], columns: "_Columns"
) -> tuple[list[str], list[str], int]:
    """Return what stands left of the panels, what is in them, and where the last one ends."""
    heads: list[str] = []
    drawn: list[str] = []
    top, bottom = TOP, TOP - 8
    for panel in panels:
        bottom = top + (BARS_HEIGHT if isinstance(panel, Bars) else panel.height)
        beside, parts = (
            _bars(panel, columns, top, bottom) if isinstance(panel, Bars) else _panel(panel, days, columns, top, bottom)
        )
        heads += [*_heading(panel.title, panel.notes, top), *beside]
        drawn += parts
        top = bottom + PANEL_GAP
    return heads, drawn, bottom


def _accessible(height: int, name: str, finding: str, parts: Iterable[str]) -> str:
    key = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower())
    width = WIDTH - LEFT
    head = (
        f'<svg class="chart" width="{width}" height="{height}" viewBox="{LEFT} 0 {width} {height}" role="group" '
        f'aria-labelledby="t-{key}" aria-describedby="d-{key}">'
    )
    told = f'<title id="t-{key}">{escape(name)}</title><desc id="d-{key}">{escape(finding)}</desc>'
    return f"{head}{told}{''.join(parts)}</svg>"


# --- across --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    n: int

    @property
    def width(self) -> float:
        return min((RIGHT - LEFT) / self.n, WIDEST_COLUMN)

    @property
    def end(self) -> float:
        return self.at(self.n)

    def at(self, position: float) -> float:
        """Return the pixel of a position; what lies outside is drawn at the edge."""
        return LEFT + min(max(position, 0.0), float(self.n)) * self.width

    def middle(self, index: int) -> float:
        return self.at(index + 0.5)


def _picks(days: Sequence[Day], columns: _Columns, bottom: int) -> Iterator[str]:
    """Yield a link over each column, below everything that is drawn."""
    for index, day in enumerate(days):
        now = ' aria-current="date"' if day.current else ""
        left, width = columns.at(index), columns.width
        yield (
            f'<a href="{escape(day.href)}" class="pick"{now} aria-label="{escape(day.told)}">'
            f'<rect class="daycol" x="{left:.1f}" y="0.5" width="{width:.1f}" height="{bottom}" rx="2">'
            f"<title>{escape(day.told)}</title></rect></a>"
        )


def _changes(changes: Sequence[Change], columns: _Columns, bottom: int) -> Iterator[str]:
    for one in changes:
        x = columns.at(one.position)
        yield (
            f'<path class="change{" back" if one.back else ""}" d="M{x:.1f} 36V{bottom}">'
            f"<title>{escape(one.told)}</title></path>"
        )


def _gaps(days: Sequence[Day], columns: _Columns, bottom: int) -> Iterator[str]:
    for index, day in enumerate(days):
        if day.after_gap and index:
            yield svg.path("gap", f"M{columns.at(index):.1f} {TOP - 4}V{bottom}")


def _decisions(days: Sequence[Day], columns: _Columns) -> Iterator[str]:
    free = -math.inf
    for index, day in enumerate(days):
        x = columns.middle(index)
        if day.icon in _SMALL:
            yield _small(day, x)
            continue
        place = f'x="{max(x - 8, LEFT):.1f}" y="3" width="16" height="16"'
        yield f'<svg {place} class="i tone-{day.tone}"><use href="#{day.icon}"/></svg>'
        half = _half(day.word)
        if day.word and x - half >= free:
            yield _word(x, 32, day.word, f"t-s t-b halo tone-{day.tone}")
            free = x + half + 4


_SMALL = ("ring", "full", "dashed", "dash")


def _small(day: Day, x: float) -> str:
    if day.icon == "dash":
        return svg.path(f"ring tone-{day.tone}", f"M{x - 2.5:.1f} 11h5")
    return svg.dot(f"ring {day.icon} tone-{day.tone}".replace(" ring", ""), x, 11, 3 if day.icon == "full" else 2.5)


def _word(x: float, y: float, word: str, style: str) -> str:
    """Return a word centred on a column, or begun at the chart's edge where it would be cut off there."""
    if x - _half(word) < LEFT:
        return svg.text(LEFT, y, word, style)
    return svg.text(x, y, word, f"{style} t-mid")


def _half(word: str) -> float:
    return 3.1 * len(word)


def _serving(terms: Sequence[Term], columns: _Columns) -> Iterator[str]:
    if not terms:
        yield svg.text(LEFT + 2, 50, "nothing served", "t-m t-s")
    for index, term in enumerate(terms):
        left, right = columns.at(term.start), columns.at(term.end)
        width = max(right - left - 1, 0.5)
        odd = " odd" if index % 2 else ""
        name = escape(term.name)
        yield (
            f'<rect class="term{odd}" x="{left + 0.5:.1f}" y="38.5" width="{width:.1f}" height="15" rx="2">'
            f"<title>{name} served</title></rect>"
        )
        if 2 * _half(term.name) + 6 <= width:
            yield svg.text((left + right) / 2, 50, term.name, "t-s t-mid")


def _dates(days: Sequence[Day], columns: _Columns, y: float) -> Iterator[str]:
    free = -math.inf
    month = ""
    for index, day in enumerate(days):
        x = columns.middle(index)
        short, long = day.date
        new = long.removeprefix(short) != month
        shown = long if new else short
        begin = max(x - _half(shown), LEFT)
        if begin < free:
            continue
        month = long.removeprefix(short)
        yield _word(x, y, shown, "t-s" if day.current else "t-s t-m")
        free = begin + (2 * _half(shown) + 6 if columns.width >= 18 else ROOM_FOR_DAY)


# --- one measure ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Upright:
    """A scale from numbers to pixels, upwards."""

    low: float
    high: float
    top: float
    bottom: float

    def y(self, value: float) -> float:
        """Return the pixel of a number; halves keep the difference of two huge ones finite."""
        span = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / span if span > 0 else 0.0
        return self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top)


def _panel(panel: Panel, days: Sequence[Day], columns: _Columns, top: int, bottom: int) -> tuple[list[str], list[str]]:
    scale = _scale(panel, top, bottom)
    if all(point.value is None for point in panel.points):
        nothing = svg.text(LEFT + 4, (top + bottom) / 2 + 4, panel.empty, "t-m halo")
        return [], [*_rings(panel, columns, scale), *_lines(panel, columns, scale), nothing]
    beside, grid = _grid(scale, panel.digits)
    parts = [*grid, *_intervals(panel, columns, scale), *_lines(panel, columns, scale)]
    if not any(point.low is not None for point in panel.points):
        parts += [*_curve(panel, days, columns, scale)]
    parts += [*_rings(panel, columns, scale), *_dots(panel, columns, scale), *_extreme(panel, columns, scale)]
    return beside, [*parts, *_later(panel, columns, top)]


def _scale(panel: Panel, top: int, bottom: int) -> _Upright:
    """Lay every limit inside; what is far above the highest limit does not press the rest together."""
    limits = [value for line in panel.lines for value in line.values if value is not None]
    seen = [number for point in panel.points for number in (point.value, point.low, point.high) if number is not None]
    highest = max([*limits, 0.0])
    reach = max([*seen, highest])
    if highest > 0:
        reach = min(reach, BEYOND * highest) if math.isfinite(BEYOND * highest) else reach
    return _Upright(*_room(min([*seen, *limits, 0.0]), reach), top + 4, bottom - 2)


def _room(low: float, high: float) -> tuple[float, float]:
    """Return the ends of a scale, a little wider than what is drawn, and never of no width."""
    if max(-low, high) > 1e300:  # a margin would be infinite
        return low, high
    span = high - low
    if span < 1e-12:
        return low, low + max(1.0, abs(low))
    return (low - span * 0.08 if low < 0 else low), high + span * 0.12


def _heading(title: str, notes: Sequence[str], top: int) -> Iterator[str]:
    yield svg.text(0, top + 10, title, "t-b")
    for index, note in enumerate(notes[:3]):
        yield svg.text(0, top + 25 + 14 * index, note, "t-m")


def _grid(scale: _Upright, digits: int) -> tuple[list[str], list[str]]:
    found = ticks(scale.low, scale.high)
    finest = -math.floor(math.log10(found[1] - found[0])) if len(found) > 1 else digits
    decimals = min(max(finest, 0), 6)
    heads = [svg.text(LEFT - 6, scale.y(tick) + 4, written(tick, decimals), "t-m t-s t-end") for tick in found]
    return heads, [svg.path("grid", f"M{LEFT} {scale.y(tick):.1f}H{RIGHT}") for tick in found]


def ticks(low: float, high: float) -> list[float]:
    """Return two or three round numbers between two ends.

    Args:
        low: The lower end.
        high: The upper end.
    """
    span = high / 2 - low / 2
    if not 1e-300 < span < 1e300:
        return [0.0] if low <= 0.0 <= high else []
    power = 10.0 ** math.floor(math.log10(span))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= span * 0.8)
    first = math.ceil(low / step)
    found = [(first + index) * step for index in range(5)]
    return [tick + 0.0 for tick in found if low <= tick <= high]


def written(value: float, digits: int) -> str:
    """Return a number for the inside of a chart: short, and without a minus before nothing.

    Args:
        value: The number.
        digits: Decimals of what is neither huge nor tiny.
    """
    if value and not 10.0**-digits / 2 <= abs(value) < 1e6:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "–", 1 if value < 0 else 0)
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "–")


def _lines(panel: Panel, columns: _Columns, scale: _Upright) -> Iterator[str]:
    ends: list[float] = []
    for line in panel.lines:
        known = [(index, value) for index, value in enumerate(line.values) if value is not None]
        if not known:
            continue
        to_the_end = f"H{RIGHT}" if known[-1][0] == columns.n - 1 else ""
        yield svg.path(line.style, "".join(_steps(known, columns, scale)) + to_the_end)
        y = _apart(scale.y(known[-1][1]) + 4, ends)
        ends.append(y)
        tone = {"limit": "t-block", "warnline": "t-warn"}.get(line.style, "t-m")
        yield svg.text(RIGHT + 6, y, line.name, tone)


def _steps(known: Sequence[tuple[int, float]], columns: _Columns, scale: _Upright) -> Iterator[str]:
    before: tuple[int, float] | None = None
    for index, value in known:
        y = scale.y(value)
        begin = "M" if before is None or before[0] != index - 1 else "L"
        if begin == "M" or before is None or before[1] != value:
            yield f"{begin}{columns.at(index):.1f} {y:.1f}"
        yield f"H{columns.at(index + 1):.1f}"
        before = index, value


def _apart(y: float, taken: Sequence[float]) -> float:
    """Return a place for a word that does not lie on those that are there."""
    for other in sorted(taken):
        if abs(y - other) < 12:
            y = other + 12
    return y


def _intervals(panel: Panel, columns: _Columns, scale: _Upright) -> Iterator[str]:
    thin = " thin" if columns.width < 14 else ""
    for index, point in enumerate(panel.points):
        if point.low is not None and point.high is not None and point.value is not None:
            tone = f" {point.tone}" if point.tone else ""
            x = columns.middle(index)
            yield svg.path(f"ival{thin}{tone}", f"M{x:.1f} {scale.y(point.low):.1f}V{scale.y(point.high):.1f}")


def _curve(panel: Panel, days: Sequence[Day], columns: _Columns, scale: _Upright) -> Iterator[str]:
    joined: list[str] = []
    for index, point in enumerate(panel.points):
        if point.value is None:
            continue
        broken = not index or panel.points[index - 1].value is None or days[index].after_gap
        joined.append(f"{'M' if broken else 'L'}{columns.middle(index):.1f} {scale.y(point.value):.1f}")
    yield svg.path("line", "".join(joined))


def _rings(panel: Panel, columns: _Columns, scale: _Upright) -> Iterator[str]:
    for index, point in enumerate(panel.points):
        if point.value is None and point.small:
            yield svg.dot("dot-ref dashed", columns.middle(index), scale.bottom - 2, 2.5)


def _dots(panel: Panel, columns: _Columns, scale: _Upright) -> Iterator[str]:
    size = 3 if columns.width >= 14 else 2.2
    for index, point in enumerate(panel.points):
        if point.value is None:
            continue
        x, y = columns.middle(index), scale.y(point.value)
        tone = f" {point.tone}" if point.tone else ""
        if point.value > scale.high:
            yield svg.path(f"beyond{tone}", f"M{x - 4:.1f} {y + 5:.1f}L{x:.1f} {y - 2:.1f}L{x + 4:.1f} {y + 5:.1f}Z")
        else:
            yield svg.dot(f"dot{tone}", x, y, size + 1 if tone else size)


def _extreme(panel: Panel, columns: _Columns, scale: _Upright) -> Iterator[str]:
    """Write the number of the highest point that is beyond a limit."""
    beyond = [
        (point.value, index) for index, point in enumerate(panel.points) if point.tone and point.value is not None
    ]
    if not beyond:
        return
    value, index = max(beyond)
    x, y = columns.middle(index), max(scale.y(value) + 4, scale.top + 8)
    left = x - 8 - 2 * _half(f"{value:.{panel.digits}f}") > LEFT
    yield svg.text(x - 8 if left else x + 8, y, written(value, panel.digits), f"t-b halo{' t-end' if left else ''}")


def _later(panel: Panel, columns: _Columns, top: int) -> Iterator[str]:
    last = max(index for index, point in enumerate(panel.points) if point.value is not None)
    missing = len(panel.points) - 1 - last
    if panel.later and missing:
        yield svg.text(columns.end - 2, top + 12, panel.later, "t-m t-s t-end halo")


def _bars(panel: Bars, columns: _Columns, top: int, bottom: int) -> tuple[list[str], list[str]]:
    most = max([*panel.whole, *panel.part, 1])
    scale = _Upright(0.0, most * 1.05, top + 2, bottom)
    parts = [svg.path("axis", f"M{LEFT} {bottom}H{RIGHT}")]
    for style, counts in (("bar-soft", panel.whole), ("bar", panel.part)):
        for index, count in enumerate(counts):
            parts += [_bar(style, columns, index, scale.y(count), bottom)] if count > 0 else []
    return [svg.text(LEFT - 6, scale.y(most) + 8, f"{most:,}", "t-m t-s t-end")], parts


def _bar(style: str, columns: _Columns, index: int, y: float, bottom: int) -> str:
    room = min(columns.width * 0.15, 3.0)
    return (
        f'<rect class="{style}" x="{columns.at(index) + room:.1f}" y="{y:.1f}" '
        f'width="{columns.width - 2 * room:.1f}" height="{bottom - y:.1f}"/>'
    )


# --- small ones ----------------------------------------------------------------------------------------------------

SPARK_WIDTH, SPARK_HEIGHT, SPARK_SLOTS = 124, 24, 30
SPARK_TOP = 0.5
"""The share at the upper edge: more than half of the features is severe under any policy that is worth its name."""


def sparkline(shares: Sequence[float | None], told: str) -> str:
    """Return shares of the last windows as a line, the newest at the right; all are drawn to one scale.

    Args:
        shares: Oldest first; at most the last thirty are drawn.
        told: What it shows, in words.
    """
    shown = list(shares)[-SPARK_SLOTS:]
    step = (SPARK_WIDTH - 8) / (SPARK_SLOTS - 1)
    first = SPARK_SLOTS - len(shown)
    points = [
        (4 + (first + index) * step, SPARK_HEIGHT - 3 - min(max(share / SPARK_TOP, 0.0), 1.0) * (SPARK_HEIGHT - 6))
        for index, share in enumerate(shown)
        if share is not None
    ]
    known = [index for index, share in enumerate(shown) if share is not None]
    joined = [
        f"{'L' if place and known[place - 1] == index - 1 else 'M'}{points[place][0]:.1f} {points[place][1]:.1f}"
        for place, index in enumerate(known)
    ]
    parts = [svg.path("grid", f"M0 {SPARK_HEIGHT - 2.5}H{SPARK_WIDTH}")]
    if points:
        parts += [svg.path("line", "".join(joined)), svg.dot("dot", *points[-1], 2.5)]
    return svg.svg(SPARK_WIDTH, SPARK_HEIGHT, told, parts)


LIMIT_WIDTH, LIMIT_HEIGHT = 122, 14


def against(value: float, limit: float, most: float, tone: str = "") -> str:
    """Return a bar from nothing to a value, with its limit drawn in; its number stands beside it.

    Args:
        value: At least 0.
        limit: What it is held against.
        most: The largest value of those that it is compared with, so that all have one scale.
        tone: As of a :class:`Point`.
    """
    scale = svg.Scale(0.0, max(2 * limit, min(most, BEYOND * limit)), 0, LIMIT_WIDTH)
    width = scale.x(max(value, 0.0))
    bar = f'<rect class="bar{f" {tone}" if tone else ""}" y="3" width="{width:.1f}" height="8" rx="1"/>'
    line = svg.path("limit", f"M{scale.x(limit):.1f} 0V{LIMIT_HEIGHT}")
    head = f'<svg class="chart" width="{LIMIT_WIDTH}" height="{LIMIT_HEIGHT}" aria-hidden="true">'
    return f"{head}{bar}{line}</svg>"
