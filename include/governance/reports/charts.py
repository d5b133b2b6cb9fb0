"""Charts as inline SVG, made on the server: data in, one string out, no script and no style of its own.

Colours come from the classes of ``governance.css``, so light and dark need nothing here. Every chart says its finding
in its label, and its numbers stand in a table on the same page. All text is escaped here, because a template inserts
the result as it is. A chart keeps its pixel size; wide screens get more columns, not bigger text.

Reading a chart needs no colour: estimate = dot, interval = thick bar, limit = solid line with the forbidden side
hatched, warn = dashed line; where a rule judges a bound, that end has a tick and the dot is hollow.
"""

import math
from collections.abc import Sequence

from governance.records import Measurement, Outcome, RuleResult
from governance.reports import svg, words
from governance.reports.reading import Reading
from governance.reports.svg import Scale

_UNBOUNDED = (
    "operations.",
    "provenance.",
    "performance.log_loss",
    "performance.accuracy_gain",
    "fairness.denial_ratio",
)


# --- range bar: one number against its limit -----------------------------------------------------------------------

BAR_WIDTH, BAR_HEIGHT = 140, 18


def scales(rules: Sequence[RuleResult]) -> dict[str, Scale]:
    """Return one scale for each measure, so that its rows can be compared with each other."""
    by_measure: dict[str, list[RuleResult]] = {}
    for rule in rules:
        by_measure.setdefault(rule.measure, []).append(rule)
    return {measure: Scale(*_domain(measure, found), 1, BAR_WIDTH - 1) for measure, found in by_measure.items()}


def _domain(measure: str, rules: Sequence[RuleResult]) -> tuple[float, float]:
    """Lay the limit about a third from the forbidden end where a measure has a floor, in the middle where a ceiling."""
    seen = [number for rule in rules for number in (rule.value, rule.low, rule.high) if number is not None]
    floors = [value for rule in rules for name, value in rule.limits.items() if name in ("at_least", "warn_below")]
    ceilings = [value for rule in rules for name, value in rule.limits.items() if name in ("at_most", "warn_above")]
    bounded = not measure.startswith(_UNBOUNDED)
    if ceilings:
        top = max(2 * max(ceilings), _round_up(max([*seen, 0.0])))
        return min([0.0, *seen]), float(min(top, 1.0) if bounded else top or 1.0)
    if not floors:
        return min([0.0, *seen]), max([1.0, *seen])
    floor = min(floors)
    top = 1.0 if bounded else max([floor + 1e-9, *(floor + 1.5 * (number - floor) for number in seen)])
    return min([floor - (top - floor) / 2, *seen]), top


def _round_up(value: float) -> float:
    if value < 1e-300:  # below, a tenth of a step would be nothing
        return 0.0
    step = 10.0 ** math.floor(math.log10(value))
    return float(math.ceil(round(value / step * 10, 6)) * step / 10)


def room(rule: RuleResult, scale: Scale) -> float:
    """Return how far the judged number stands from its nearest limit, as a share of the scale; silent rules last."""
    judged = {"low": rule.low, "high": rule.high}.get(rule.bound, rule.value)
    if judged is None or not rule.limits:
        return math.inf
    return min(abs(judged - limit) for limit in rule.limits.values()) / ((scale.high - scale.low) or 1.0)


def range_bar(rule: RuleResult, scale: Scale) -> str:
    """Return one number against its limit, 140 × 18 pixels."""
    tone = {Outcome.WARN: " w", Outcome.BLOCK: " b"}.get(rule.outcome, "")
    parts = [*_forbidden(rule, scale), svg.path("axis", f"M1 9H{BAR_WIDTH - 1}")]
    if rule.low is not None and rule.high is not None:
        parts.append(svg.path(f"ival{tone}", f"M{scale.x(rule.low):.1f} 9H{scale.x(rule.high):.1f}"))
    parts += _limit_lines(rule, scale)
    parts += _estimate(rule, scale, tone)
    return svg.svg(BAR_WIDTH, BAR_HEIGHT, _range_label(rule), parts)


def _forbidden(rule: RuleResult, scale: Scale) -> list[str]:
    parts = []
    if "at_least" in rule.limits:
        parts.append(svg.hatch(1, 2, scale.x(rule.limits["at_least"]) - 1, 14))
    if "at_most" in rule.limits:
        x = scale.x(rule.limits["at_most"])
        parts.append(svg.hatch(x, 2, BAR_WIDTH - 1 - x, 14))
    return parts


def _limit_lines(rule: RuleResult, scale: Scale) -> list[str]:
    styles = {"warn_above": "warnline", "warn_below": "warnline", "at_most": "limit", "at_least": "limit"}
    wanted = [name for name in styles if name in rule.limits]
    return [svg.path(styles[name], f"M{scale.x(rule.limits[name]):.1f} 1V17") for name in wanted]


def _estimate(rule: RuleResult, scale: Scale, tone: str) -> list[str]:
    if rule.value is None:
        return []
    x = min(max(scale.x(rule.value), 5), BAR_WIDTH - 5)
    judged = {"low": rule.low, "high": rule.high}.get(rule.bound)
    if judged is None:
        return [svg.dot(f"dot{tone}", x, 9, 4)]
    tick = svg.path(f"judged{tone}", f"M{scale.x(judged):.1f} 4V14")
    return [tick, svg.dot("dot-ref", x, 9, 3.5)]


def _range_label(rule: RuleResult) -> str:
    parts = [words.number(rule.measure, rule.value)]
    if rule.low is not None and rule.high is not None:
        low, high = words.number(rule.measure, rule.low), words.number(rule.measure, rule.high)
        parts.append(f"interval {low} to {high}")
    return ", ".join([*parts, *(text for text in words.limit(rule) if text), str(rule.outcome)])


def driver_bar(share: float) -> str:
    """Return a bar of ``share`` of the widest, 72 × 10 pixels; its number stands beside it."""
    width = 72 * min(max(share, 0.0), 1.0)
    bar = f'<rect class="bar" width="{width:.1f}" height="10" rx="1"/>'
    return f'<svg class="chart" width="72" height="10" aria-hidden="true">{bar}</svg>'


# --- selection rate by group ---------------------------------------------------------------------------------------

GROUP_COUNT, GROUP_LEFT, GROUP_RIGHT, GROUP_WIDTH, GROUP_ROW = 124, 134, 356, 400, 22


def group_chart(reading: Reading, before: Reading | None) -> str:
    """Return what each group is compared by with its interval, the limit below the highest, and the attempt before.

    Groups that are too small to be judged are not drawn: the page names them beside the chart.
    """
    blocks = _attribute_blocks(reading)
    if not blocks:
        return ""
    scale = _rate_scale(reading, before, [item for _, items in blocks for item in items])
    parts, y = [], 0.0
    for attribute, items in blocks:
        drawn, y = _attribute_block(reading, before, scale, attribute, items, y)
        parts += drawn
    height = int(y) + 20
    label = f"{reading.by_group.title} by group with 95 % intervals. " + "; ".join(
        f"{words.slice_words(item.slice)} {words.number(item.name, item.value)}"
        for _, items in blocks
        for item in items
    )
    unit = "rate" if reading.by_group.is_share else "error"
    return svg.svg(GROUP_WIDTH, height, label + ".", [*_rate_axis(scale, height, unit), *parts])


def _attribute_blocks(reading: Reading) -> list[tuple[str, list[Measurement]]]:
    small = reading.small_groups()
    blocks: dict[str, list[Measurement]] = {}
    for item in reading.named(reading.by_group.name):
        if len(item.slice) == 1 and item.value is not None and item.key[1] not in small:
            blocks.setdefault(next(iter(item.slice)), []).append(item)
    in_order = reading.document["spec"].get("protected", [])
    return sorted(blocks.items(), key=lambda block: in_order.index(block[0]) if block[0] in in_order else len(in_order))


def _rate_scale(reading: Reading, before: Reading | None, items: Sequence[Measurement]) -> Scale:
    seen = [number for item in items for number in (item.value, item.low) if number is not None]
    seen += [number for item in items if before and (number := before.value(item.name, item.slice)) is not None]
    if not reading.by_group.is_share:
        high = max([*(item.high for item in items if item.high is not None), *seen, 0.0])
        room = (high - min(*seen, 0.0)) * 0.05 or 1.0
        return Scale(min(*seen, 0.0) - room, high + room, GROUP_LEFT, GROUP_RIGHT)
    floor = math.floor((min(seen) - 0.02) * 10) / 10
    return Scale(max(floor, 0.0), 1.0, GROUP_LEFT, GROUP_RIGHT)


def _rate_axis(scale: Scale, height: int, unit: str) -> list[str]:
    span = scale.high - scale.low
    step = (0.1 if span <= 0.6 else 0.2) if unit == "rate" else 10 ** math.floor(math.log10(span / 2))
    first = math.ceil(scale.low / step - 0.001) * step
    ticks = [first + index * step for index in range(int((scale.high - first) / step + 1.001))]
    parts = [svg.path("grid", f"M{scale.x(tick):.1f} 16V{height - 16}") for tick in ticks]
    parts += [svg.text(scale.x(tick), height - 3, f"{tick:.1f}", "t-m t-mid") for tick in ticks]
    return [
        *parts,
        svg.text(GROUP_COUNT - 14, height - 3, "n", "t-m t-end"),
        svg.text(GROUP_WIDTH, height - 3, unit, "t-m t-end"),
    ]


def _attribute_block(
    reading: Reading, before: Reading | None, scale: Scale, attribute: str, items: Sequence[Measurement], top: float
) -> tuple[list[str], float]:
    first, last = top + 18, top + 18 + GROUP_ROW * len(items)
    difference = reading.by_group.difference
    rule = reading.rule_over(difference, {"attribute": attribute})
    parts = [] if top == 0 else [svg.path("axis", f"M0 {top - 2:.1f}H{GROUP_WIDTH}")]
    parts.append(svg.text(0, top + 12, attribute, "t-m t-b"))
    if rule and rule.value is not None:
        parts.append(svg.text(GROUP_WIDTH, top + 12, f"difference {words.number(difference, rule.value)}", "t-m t-end"))
    parts += _rate_limit(rule, scale, items, first, last)
    for index, item in enumerate(items):
        earlier = before.value(item.name, item.slice) if before else None
        parts += _group_row(item, earlier, scale, first + GROUP_ROW * (index + 0.5))
    return parts, last + 6


def _rate_limit(
    rule: RuleResult | None, scale: Scale, items: Sequence[Measurement], first: float, last: float
) -> list[str]:
    highest = max(item.value or 0.0 for item in items)
    if rule is None or "at_most" not in rule.limits:
        return []
    x = scale.x(highest - rule.limits["at_most"])
    return [
        svg.hatch(GROUP_LEFT, first, x - GROUP_LEFT, last - first),
        svg.path("limit", f"M{x:.1f} {first:.1f}V{last:.1f}"),
    ]


def _group_row(item: Measurement, earlier: float | None, scale: Scale, y: float) -> list[str]:
    value = item.value or 0.0
    parts = [
        svg.text(0, y + 4, words.slice_words(item.slice)),
        svg.text(GROUP_COUNT, y + 4, words.count(item.n), "t-m t-end"),
    ]
    if item.low is not None and item.high is not None:
        parts.append(svg.path("ival", f"M{scale.x(item.low):.1f} {y:.1f}H{scale.x(item.high):.1f}"))
    if earlier is not None:
        parts.append(svg.dot("dot-ref", scale.x(earlier), y, 3.5))
    parts.append(svg.dot("dot", scale.x(value), y, 4.5))
    return [*parts, svg.text(GROUP_WIDTH, y + 4, words.number(item.name, value), "t-end t-b")]
