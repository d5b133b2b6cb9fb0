"""The chart of the search for a less discriminatory alternative: what fairness cost, attempt by attempt.

Up is more accurate, left is fairer. The series of the chosen alternative is filled and joined in the order of its
thresholds; the others are hollow. The blocked attempt is a cross. Style and rules are those of :mod:`charts`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from governance.records import RuleResult
from governance.reports import svg, words
from governance.reports.reading import ACCURACY, BASE_RATE, PARITY, UNFAVOURABLE_SELECTED, Json, Reading
from governance.reports.svg import Scale

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 36, 392, 6, 264


@dataclass(frozen=True)
class Tried:
    """One alternative as the chart and its table need it.

    Attributes:
        label: The alternative in words.
        family: ``threshold``, ``features``, ``parameters`` or ``reduction``.
        series: What it shares with those that differ from it in the threshold only.
        parity: Parity difference of the attribute that is compared.
        accuracy: Share of rows that it gets right.
        threshold: The decision threshold, where it has one.
        denied_approved: Share of the rows with the unfavourable label that it approves.
        failing: Ids of the rules that would stop it.
        chosen: Whether it became the next candidate.
    """

    label: str
    family: str
    series: str
    parity: float
    accuracy: float
    threshold: float | None
    denied_approved: float | None
    failing: tuple[str, ...]
    chosen: bool


def tried_points(reading: Reading, attribute: str | None) -> list[Tried]:
    """Return the alternatives that have both numbers, in the order in which they were tried."""
    tried = (reading.document.get("alternatives") or {}).get("tried", [])
    return [point for item in tried if (point := _tried(item, attribute)) is not None]


def _tried(item: Mapping[str, Json], attribute: str | None) -> Tried | None:
    numbers = Reading({"measurements": item.get("measurements", [])})
    parity = numbers.value(PARITY, {"attribute": attribute or ""})
    accuracy = numbers.value(ACCURACY)
    if parity is None or accuracy is None:
        return None
    made_by = [item.get("parameters"), item.get("dropped") or [], item.get("reduction")]
    return Tried(
        label=item["label"],
        family=item.get("family", "parameters"),
        series=json.dumps(made_by, sort_keys=True),
        parity=parity,
        accuracy=accuracy,
        threshold=item.get("threshold"),
        denied_approved=numbers.value(UNFAVOURABLE_SELECTED),
        failing=tuple(item.get("failing") or ()),
        chosen=bool(item.get("chosen")),
    )


@dataclass(frozen=True)
class _Plane:
    across: Scale
    down: Scale

    def at(self, parity: float, accuracy: float) -> tuple[float, float]:
        return self.across.x(parity), self.down.x(accuracy)


def chart(reading: Reading, before: Reading | None, attribute: str | None) -> str:
    """Return accuracy (up is better) against parity difference (left is fairer) of everything that was tried."""
    points = tried_points(reading, attribute)
    if not points or attribute is None:
        return ""
    blocked = _blocked_point(before, attribute)
    rule = reading.rule_over(PARITY, {"attribute": attribute})
    base = reading.value(BASE_RATE)
    plane = _plane(points, blocked, rule, base)
    parts = [*_axes(plane, attribute), *_limits_across(rule, plane), *_base_line(base, plane)]
    parts += _series(points, plane)
    parts += _highlights(points, blocked, plane)
    return svg.svg(WIDTH, HEIGHT, _alternatives_label(points, blocked), parts)


def _blocked_point(before: Reading | None, attribute: str) -> tuple[float, float, float | None] | None:
    if before is None:
        return None
    parity, accuracy = before.value(PARITY, {"attribute": attribute}), before.value(ACCURACY)
    if parity is None or accuracy is None:
        return None
    return parity, accuracy, before.document["training"].get("threshold")


def _plane(
    points: Sequence[Tried],
    blocked: tuple[float, float, float | None] | None,
    rule: RuleResult | None,
    base: float | None,
) -> _Plane:
    limits = [value for name, value in (rule.limits if rule else {}).items() if name in ("at_most", "warn_above")]
    across = [point.parity for point in points] + ([blocked[0]] if blocked else []) + [1.4 * value for value in limits]
    up = [point.accuracy for point in points] + ([blocked[1]] if blocked else []) + ([base] if base else [])
    margin = max(0.12 * (max(up) - min(up)), 0.002)
    return _Plane(
        Scale(0.0, 1.12 * max(across), LEFT, RIGHT),
        Scale(min(up) - margin, max(up) + margin, BOTTOM, TOP),
    )


def _nice_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most or 1.0
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _axes(plane: _Plane, attribute: str) -> list[str]:
    parts = []
    for tick in _nice_ticks(plane.down.low, plane.down.high, 5):
        y = plane.down.x(tick)
        parts += [
            svg.path("grid", f"M{LEFT} {y:.1f}H{RIGHT}"),
            svg.text(LEFT - 6, y + 4, f"{tick:.2f}", "t-m t-end"),
        ]
    for tick in _nice_ticks(0, plane.across.high, 6):
        parts.append(svg.text(plane.across.x(tick), BOTTOM + 15, f"{tick:.2f}", "t-m t-mid"))
    middle = (LEFT + RIGHT) / 2
    parts.append(svg.text(middle, BOTTOM + 31, f"parity difference by {attribute} →", "t-m t-mid"))
    return [*parts, svg.path("axis", f"M{LEFT} {BOTTOM}H{RIGHT}")]


def _limits_across(rule: RuleResult | None, plane: _Plane) -> list[str]:
    limits = rule.limits if rule else {}
    parts = []
    if "at_most" in limits:
        x = plane.across.x(limits["at_most"])
        parts = [
            svg.hatch(x, TOP, RIGHT - x, BOTTOM - TOP),
            svg.path("limit", f"M{x:.1f} {TOP}V{BOTTOM}"),
        ]
    if "warn_above" in limits:
        parts.append(svg.path("warnline", f"M{plane.across.x(limits['warn_above']):.1f} {TOP}V{BOTTOM}"))
    return parts


def _base_line(base: float | None, plane: _Plane) -> list[str]:
    if base is None:
        return []
    y = plane.down.x(base)
    return [
        f'<path class="tick" stroke-dasharray="2 3" d="M{LEFT} {y:.1f}H{RIGHT}"/>',
        svg.text(RIGHT - 2, y + 14, f"always the same answer {base:.3f}", "t-m t-end halo"),
    ]


@dataclass(frozen=True)
class Kind:
    """Alternatives that are drawn alike: those of the chosen one's series, and of the others each family."""

    shape: str
    title: str
    series: Sequence[Sequence[Tried]]


_FAMILIES = {
    "threshold": ("ring", "the same model"),
    "features": ("diamond", "other features"),
    "parameters": ("square", "other parameters"),
    "reduction": ("triangle", "reductions"),
}


def kinds(points: Sequence[Tried]) -> list[Kind]:
    """Return what was tried by how it is drawn, the chosen one's series first."""
    series: dict[str, list[Tried]] = {}
    for point in points:
        series.setdefault(point.series, []).append(point)
    main = next((point.series for point in points if point.chosen), points[0].series if points else "")
    found = [Kind("circle", _title([series[main]]), [series[main]])] if points else []
    for family, (shape, _) in _FAMILIES.items():
        others = [members for name, members in series.items() if name != main and members[0].family == family]
        found += [Kind(shape, _title(others), others)] if others else []
    return found


def _title(series: Sequence[Sequence[Tried]]) -> str:
    first = series[0][0]
    name = first.label.partition(", threshold")[0]
    if len(series) > 1:
        name = f"{_FAMILIES[first.family][1]}, {len(series)} ways"
    elif first.family == "threshold" and name.startswith("threshold"):
        name = _FAMILIES["threshold"][1]
    thresholds = sorted({point.threshold for members in series for point in members if point.threshold is not None})
    if not thresholds or len(series) > 1:
        return name
    low, high = f"{thresholds[0]:.2f}", f"{thresholds[-1]:.2f}"
    return f"{name}, threshold {low}" if low == high else f"{name}, threshold {low} – {high}"


def key(points: Sequence[Tried]) -> list[tuple[str, str]]:
    """Return the key: the shape of each kind as SVG, and what it is."""
    return [(mark(kind.shape, 6, 6), kind.title) for kind in kinds(points)]


def _series(points: Sequence[Tried], plane: _Plane) -> list[str]:
    """Draw the chosen one's series last, on top of the others."""
    return [part for kind in reversed(kinds(points)) for members in kind.series for part in _one(kind, members, plane)]


def _one(kind: Kind, members: Sequence[Tried], plane: _Plane) -> list[str]:
    ordered = sorted((point for point in members if point.threshold is not None), key=_by_threshold)
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in (plane.at(point.parity, point.accuracy) for point in ordered))
    style = "line" if kind.shape == "circle" else "line-ref"
    is_alone = len(kind.series) == 1  # the lines of several series would be a knot
    line = [f'<polyline class="{style}" points="{joined}"/>'] if len(ordered) > 1 and is_alone else []
    marks = [mark(kind.shape, *plane.at(point.parity, point.accuracy)) for point in members]
    return [*line, *(marks if is_alone else [f'<g class="faint">{"".join(marks)}</g>'])]


def _by_threshold(point: Tried) -> float:
    return point.threshold or 0.0


def mark(shape: str, x: float, y: float) -> str:
    """Return one point in its shape: filled for the chosen one's series, hollow for the others."""
    drawn = {
        "square": f'<rect class="dot-ref" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>',
        "triangle": svg.path("dot-ref", f"M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z"),
        "diamond": svg.path("dot-ref", f"M{x:.1f} {y - 3.5:.1f}l3.5 3.5l-3.5 3.5l-3.5 -3.5z"),
        "ring": svg.dot("dot-ref", x, y, 3),
    }
    return drawn.get(shape) or svg.dot("dot", x, y, 3.5)


def _highlights(points: Sequence[Tried], blocked: tuple[float, float, float | None] | None, plane: _Plane) -> list[str]:
    parts = []
    chosen = next((point for point in points if point.chosen), None)
    if chosen:
        x, y = plane.at(chosen.parity, chosen.accuracy)
        parts += [f'<circle class="line" cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>', svg.dot("dot", x, y, 5)]
        parts += _label(x, y, "chosen", "t-b", chosen.threshold)
    if blocked:
        x, y = plane.at(blocked[0], blocked[1])
        parts.append(svg.path("cross", f"M{x - 5:.1f} {y - 5:.1f}l10 10M{x + 5:.1f} {y - 5:.1f}l-10 10"))
        parts += _label(x, y, "blocked", "t-b t-block", blocked[2])
    return parts


def _label(x: float, y: float, word: str, style: str, threshold: float | None) -> list[str]:
    is_left = x > 150
    edge, end = (x - 14, " t-end") if is_left else (x + 14, "")
    top = min(max(y - 10, TOP + 10), BOTTOM - 20)
    second = [] if threshold is None else [svg.text(edge, top + 15, f"threshold {threshold:.2f}", f"t-m halo{end}")]
    return [svg.text(edge, top, word, f"{style} halo{end}"), *second]


def _alternatives_label(points: Sequence[Tried], blocked: tuple[float, float, float | None] | None) -> str:
    parts = [f"Accuracy against parity difference of {words.plural(len(points), 'alternative')}."]
    chosen = next((point for point in points if point.chosen), None)
    if chosen:
        parts.append(f"Chosen: {chosen.label}, difference {chosen.parity:.3f}, accuracy {chosen.accuracy:.3f}.")
    else:
        parts.append("None passes every rule.")
    if blocked:
        parts.append(f"Blocked: difference {blocked[0]:.3f}, accuracy {blocked[1]:.3f}.")
    return " ".join(parts)
