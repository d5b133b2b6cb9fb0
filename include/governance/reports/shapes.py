"""How a column was distributed then and is now: as a small SVG, as a sentence, and as the numbers behind both.

A column of the drawing is a bin: as wide as all others, so that of numbers the reference is flat where nothing lies
heavy on one value, and what moved stands out. Grey is the reference, the blue line what is looked at. Neighbours:
:mod:`governance.measures.drift_shapes` says what a bin is, and of whom nothing is kept. Not guaranteed: the form of a
density; the ends of the bins, which stand in the table, say how wide each is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from governance.measures.drift_shapes import Bin, Shape
from governance.reports import svg, words

WIDTH, HEIGHT = 132, 36
LOWEST_TOP = 0.2
"""The share that the chart reaches up to at least: a tenth is never drawn as if it were everything."""

DAY = 86_400.0
OTHERS, MISSING = "others", "missing"

Share = tuple[str, float, float]
"""A bin in words, and its share of the rows of the reference and of those now."""


def shares(shape: Shape) -> list[Share]:
    """Return every bin in words with its share on both sides, what is missing at the end where there is any."""
    m, n = (max(rows, 1) for rows in shape.rows)
    found = [(_words(shape, at), one.reference / m, one.current / n) for at, one in enumerate(shape.bins)]
    before, now = shape.missing
    return [*found, (MISSING, before / m, now / n)] if before or now else found


def finding(shape: Shape) -> str:
    """Return where the two sides differ most, in a line."""
    found = shares(shape)
    if not all(shape.rows) or not found:
        return "no rows"
    name, before, now = max(found, key=lambda one: abs(one[2] - one[1]))
    return f"{name}: {_percent(before)} → {_percent(now)}"


def draw(shape: Shape, name: str) -> str:
    """Return a shape as SVG.

    Args:
        shape: Both sides of a column.
        name: What the column is called, for who does not see the drawing.
    """
    found = shares(shape)
    told = f"{name}, reference and this window. The largest change: {finding(shape)}."
    axis = svg.path("axis", f"M0 {HEIGHT - 0.5}H{WIDTH}")
    if not found:
        return svg.svg(WIDTH, HEIGHT, told, [axis])
    top = max(LOWEST_TOP, *(max(before, now) for _, before, now in found))
    steps = shape.kind != "values"
    whole = len(found) - (found[-1][0] == MISSING) if steps else 0
    width = WIDTH / len(found)
    parts: list[str] = []
    for at, (_, before, now) in enumerate(found):
        sides = _step(at, width, before / top) if at < whole else _pair(at, width, before / top, now / top)
        parts += sides
    if whole:
        parts.append(_line([now / top for _, _, now in found[:whole]], width))
    return svg.svg(WIDTH, HEIGHT, told, [*parts, axis])


def _step(at: int, width: float, before: float) -> Iterator[str]:
    yield _rectangle("bar-then", at * width + 0.4, before, width - 0.8)


def _pair(at: int, width: float, before: float, now: float) -> Iterator[str]:
    half = min(width * 0.42, 9.0)
    middle = (at + 0.5) * width
    yield _rectangle("bar-then", middle - half, before, half)
    yield _rectangle("bar-now", middle + 0.5, now, half - 0.5)


def _rectangle(style: str, x: float, share: float, width: float) -> str:
    high = max(share, 0.0) * (HEIGHT - 4)
    place = f'x="{x:.1f}" y="{HEIGHT - 1 - high:.1f}"'
    return f'<rect class="{style}" {place} width="{max(width, 0.5):.1f}" height="{high:.1f}"/>'


def _line(now: list[float], width: float) -> str:
    y = [HEIGHT - 1 - share * (HEIGHT - 4) for share in now]
    steps = "".join(f"V{each:.1f}H{(at + 1) * width:.1f}" for at, each in enumerate(y))
    return svg.path("line", f"M0 {y[0]:.1f}{steps}")


def _words(shape: Shape, at: int) -> str:
    one = shape.bins[at]
    if shape.kind == "values":
        return one.name if one.name is not None else f"{OTHERS} ({shape.others})"
    before = shape.bins[at - 1] if at else None
    low, high = (None if end is None else _end(shape, end) for end in (one.low, one.high))
    if low is None:
        return "all" if high is None else f"below {high}"
    if high is None:
        return (
            f"over {low}" if before is not None and _is_one_number(before) and before.high == one.low else f"from {low}"
        )
    return low if low == high else f"{low} to {high}"


def _is_one_number(one: Bin) -> bool:
    return one.low is not None and one.low == one.high


def _end(shape: Shape, number: float) -> str:
    if shape.kind == "times":
        return _moment(shape, number)
    if number and not 1e-4 <= abs(number) < 1e9:
        return f"{number:.3g}".replace("-", "–", 1 if number < 0 else 0)
    text = f"{number:,.6f}".rstrip("0").rstrip(".")
    return text.replace("-", "–")


def _moment(shape: Shape, seconds: float) -> str:
    ends = [end for one in shape.bins for end in (one.low, one.high) if end is not None]
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.4g} s"
    day = f"{at.day} {at:%b %Y}"
    return day if max(ends) - min(ends) > 20 * DAY else f"{day} {at:%H:%M}"


def _percent(value: float) -> str:
    return words.share(value)
