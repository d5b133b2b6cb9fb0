"""The rows of the tables on the review page: worst first, small groups as one row, nothing left out.

Pure functions from a read evidence document to rows of finished text; a template only sets them. What is folded away
at first (rules that pass with room to spare) is still in the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from governance.records import Measurement, Outcome, RuleResult
from governance.reports import alternatives, charts, pairs, words
from governance.reports.reading import (
    ACCURACY,
    BASE_RATE,
    DENIAL_RATIO,
    GAIN,
    PARITY,
    RATIO,
    UNCOMMITTED,
    UNFAVOURABLE_SELECTED,
    Reading,
    is_small_group,
)
from governance.reports.svg import Scale

ROWS_AT_FIRST = 13
"""So many rows leave room for the charts on a screen of 1280 × 900."""

_ORDER = (Outcome.BLOCK, Outcome.WARN, Outcome.NOT_ENOUGH_DATA, Outcome.PASS, Outcome.NOT_APPLICABLE)


@dataclass(frozen=True)
class RuleRow:
    """One row of the rules table.

    Attributes:
        outcome: The verdict's word, or ``waived``; also the name of its icon's style.
        title: The rule.
        of: Which part of the data, in words.
        n: Rows it rests on.
        estimate: The number.
        interval: Its 95 % interval.
        bar: The range bar as SVG; empty where there is no number.
        limit: What is allowed.
        warn: When it warns.
        note: Stands in place of numbers, bar and limit where there is no number: why.
        waiver: Until when, by whom and why it gives way, where a waiver lets it.
    """

    outcome: str
    title: str
    of: str
    n: str
    estimate: str
    interval: str
    bar: str
    limit: str
    warn: str
    note: str = ""
    waiver: str = ""


def rules(reading: Reading, names: Mapping[str, str] | None = None) -> tuple[list[RuleRow], list[RuleRow]]:
    """Return the rules worst first: those to show, and those that pass with the most room, to fold away.

    Args:
        reading: The evidence.
        names: Pseudonymous id → name, for who signed a waiver; ids are shown where it has none.
    """
    results = [rule for rule in reading.verdict.rules if not is_small_group(rule)]
    scales = charts.scales(results)
    ranked = sorted(results, key=lambda rule: (*_rank(rule, reading), charts.room(rule, scales[rule.measure])))
    rows = [_row(reading, rule, scales[rule.measure], names or {}) for rule in ranked]
    small = [rule for rule in reading.verdict.rules if is_small_group(rule)]
    first_calm = next((index for index, rule in enumerate(ranked) if _severity(rule) >= (1, 3)), len(rows))
    if small:
        rows.insert(first_calm, _small_groups_row(small))
    shown = max(ROWS_AT_FIRST, first_calm + bool(small))
    return (rows, []) if len(rows) <= shown + 2 else (rows[:shown], rows[shown:])


def _rank(rule: RuleResult, reading: Reading) -> tuple[int, int, bool, bool, bool]:
    """Order by outcome; then rules that can block, the attribute that people compare, and counts of the code last."""
    only_warns = not {"at_most", "at_least"} & set(rule.limits)
    is_compared = rule.slice.get("attribute") == reading.compared_attribute
    return (*_severity(rule), only_warns, rule.measure.startswith("provenance."), not is_compared)


def _severity(rule: RuleResult) -> tuple[int, int]:
    return int(not rule.stops), _ORDER.index(rule.outcome)


def _row(reading: Reading, rule: RuleResult, scale: Scale, names: Mapping[str, str]) -> RuleRow:
    measured = reading.find(rule.measure, rule.slice)
    limit, warn = words.limit(rule)
    family = rule.measure.partition(".")[0]
    silent = rule.value is None or family == "rule"
    return RuleRow(
        outcome="waived" if rule.waiver else str(rule.outcome),
        title=rule.title,
        of=_of(reading, rule),
        n=words.count(rule.n) if family not in ("provenance", "rule") else words.MISSING,
        estimate=words.number(rule.measure, rule.value),
        interval=words.interval(rule.measure, rule.low, rule.high, measured.method if measured else None),
        bar="" if silent else charts.range_bar(rule, scale),
        limit=limit,
        warn=warn,
        note=_silence(rule, limit or warn) if silent else "",
        waiver=words.waived(rule.waiver, names) if rule.waiver else "",
    )


def _of(reading: Reading, rule: RuleResult) -> str:
    if rule.measure == GAIN:
        return _base_rate(reading)
    if rule.measure == UNCOMMITTED:
        files = reading.document["code"]["uncommitted"]
        return words.listed([*files[:2], *([f"{len(files) - 2} more"] if len(files) > 2 else [])]) if files else ""
    by = words.slice_words(rule.slice, rule.measure)
    groups = pairs.pair_of(rule, reading.measurements) if rule.outcome in (Outcome.BLOCK, Outcome.WARN) else None
    return f"{by}: {groups.in_words}" if groups else by


def _silence(rule: RuleResult, limit: str) -> str:
    if not limit or rule.outcome is Outcome.NOT_APPLICABLE:
        return rule.reason
    return f"{rule.reason.rstrip('.')}. Demanded: {limit}."


def _base_rate(reading: Reading) -> str:
    value = reading.value(BASE_RATE)
    return "" if value is None else words.number(BASE_RATE, value)


def _small_groups_row(small: Sequence[RuleResult]) -> RuleRow:
    named = [
        f"{words.slice_words(rule.slice)} {words.count(rule.n)}" for rule in sorted(small, key=lambda r: -(r.n or 0))
    ]
    groups = words.plural(len(small), "group")
    return RuleRow(
        outcome=str(Outcome.NOT_ENOUGH_DATA),
        title=small[0].title,
        of=groups,
        n="",
        estimate="",
        interval="",
        bar="",
        limit="",
        warn="",
        note=f"{small[0].reason}: {', '.join(named)}",
    )


# --- the blocked attempt before it ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """One row of the comparison: a number before and now, whether it is what blocked, whether it is worse now."""

    title: str
    before: str
    after: str
    change: str
    blocked: bool = False
    worse: bool = False


def comparison(before: Reading, after: Reading) -> list[Compared]:
    """Return what changed between the blocked attempt and this one, the reasons first, then the price."""
    race = before.compared_attribute
    wanted: list[tuple[str, str, Mapping[str, str]]] = []
    for rule in before.verdict.failing():
        wanted.append((_title(rule.title, rule.slice), rule.measure, rule.slice))
    if race:
        wanted += [
            (_title("Parity difference", {"attribute": race}), PARITY, {"attribute": race}),
            (_title("Disparate impact ratio", {"attribute": race}), RATIO, {"attribute": race}),
            (_title("Ratio of denial rates", {"attribute": race}), DENIAL_RATIO, {"attribute": race}),
        ]
    wanted += [("Accuracy", ACCURACY, {}), ("Gain over base rate", GAIN, {})]
    wanted += [("Denied applicants approved", UNFAVOURABLE_SELECTED, {})]
    unique = {(measure, tuple(slice_.items())): (title, measure, slice_) for title, measure, slice_ in reversed(wanted)}
    return [*_threshold(before, after), *(_compared(before, after, *row) for row in reversed(unique.values()))]


def _title(title: str, slice_: Mapping[str, str]) -> str:
    of = words.slice_words(slice_)
    return f"{title}, {of}" if of else title


def _compared(before: Reading, after: Reading, title: str, measure: str, slice_: Mapping[str, str]) -> Compared:
    was, now = before.value(measure, slice_), after.value(measure, slice_)
    rule = before.rule_over(measure, slice_)
    if measure == UNFAVOURABLE_SELECTED:
        points = words.MISSING if was is None or now is None else f"{100 * (now - was):+.1f} pts".replace("-", "–")
        return Compared(title, words.share(was), words.share(now), points)
    return Compared(
        title,
        words.number(measure, was),
        words.number(measure, now),
        words.change(measure, was, now),
        blocked=bool(rule and rule.stops),
        worse=was is not None and now is not None and _distance(measure, now) > _distance(measure, was),
    )


def _distance(measure: str, value: float) -> float:
    """Return how far a number is from its ideal: 1 for ratios, 0 for differences, as high as can be for the rest."""
    if measure.endswith("_ratio"):
        return abs(value - 1)
    return abs(value) if measure.endswith("_difference") else -value


def _threshold(before: Reading, after: Reading) -> list[Compared]:
    was, now = before.document["training"]["threshold"], after.document["training"]["threshold"]
    if was is None or now is None:
        return []
    return [Compared("Decision threshold", f"{was:.2f}", f"{now:.2f}", f"{now - was:+.2f}".replace("-", "–"))]


# --- groups, alternatives, drivers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupRow:
    """What one group is compared by, as a row of numbers; ``attribute`` is what its members share, by name."""

    attribute: str
    name: str
    n: str
    rate: str
    interval: str
    before: str


def groups(reading: Reading, before: Reading | None) -> list[GroupRow]:
    """Return what every group and intersection is compared by, small ones without a number."""
    small = reading.small_groups()
    ordered = sorted(reading.named(reading.by_group.name), key=lambda measured: _place(reading, measured))
    return [_group_row(measured, before, measured.key[1] in small) for measured in ordered]


def _place(reading: Reading, measured: Measurement) -> tuple[int, list[int]]:
    """Order groups as the spec orders attributes, single ones before intersections."""
    attributes = reading.document["spec"].get("protected", [])
    return len(measured.slice), [attributes.index(name) for name in measured.slice if name in attributes]


def _group_row(measured: Measurement, before: Reading | None, is_small: bool) -> GroupRow:
    attribute = words.TIMES.join(measured.slice)
    name, n = words.slice_words(measured.slice), words.count(measured.n)
    if is_small or measured.value is None:
        return GroupRow(attribute, name, n, words.MISSING, "not enough data", words.MISSING)
    earlier = before.value(measured.name, measured.slice) if before else None
    bounds = words.interval(measured.name, measured.low, measured.high, measured.method)
    rate, rate_before = words.number(measured.name, measured.value), words.number(measured.name, earlier)
    return GroupRow(attribute, name, n, rate, bounds, rate_before)


@dataclass(frozen=True)
class TriedRow:
    """One alternative that was tried, as a row of numbers."""

    label: str
    accuracy: str
    parity: str
    denied: str
    failing: str
    chosen: bool


def tried(reading: Reading, attribute: str | None) -> list[TriedRow]:
    """Return the alternatives that were tried, fairest first."""
    rows = alternatives.tried_points(reading, attribute)
    return [
        TriedRow(
            point.label,
            words.number(ACCURACY, point.accuracy),
            words.number(PARITY, point.parity),
            words.share(point.denied_approved),
            words.listed(point.failing) if point.failing else "none",
            point.chosen,
        )
        for point in sorted(rows, key=lambda point: point.parity)
    ]


@dataclass(frozen=True)
class Driver:
    """One feature and how much it moves the predictions."""

    column: str
    meaning: str
    direction: str
    bar: str
    share: str
    is_proxy: bool


def drivers(reading: Reading, meanings: Mapping[str, str], proxies: Sequence[str], top: int = 10) -> list[Driver]:
    """Return the features that move the predictions most, with what more of them does.

    Args:
        reading: The evidence.
        meanings: Column → what it means, from the spec that the evidence names; columns without one show their name.
        proxies: Columns that the spec calls features of the neighbourhood, or other proxies of a protected attribute.
        top: How many to return.
    """
    ranked = sorted(reading.named("explainability.importance"), key=lambda item: -(item.value or 0.0))[:top]
    largest = ranked[0].value if ranked else None
    return [_driver(reading, item, meanings, proxies, largest or 1.0) for item in ranked]


def _driver(
    reading: Reading, item: Measurement, meanings: Mapping[str, str], proxies: Sequence[str], largest: float
) -> Driver:
    column = item.slice["feature"]
    return Driver(
        column=column,
        meaning=meanings.get(column, column),
        direction=words.direction(reading.value("explainability.direction", {"feature": column})),
        bar=charts.driver_bar((item.value or 0.0) / largest),
        share=words.share(item.value),
        is_proxy=column in proxies,
    )
