"""A verdict in a terminal: the rules worst first, in 80 columns, readable without colour."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from governance.commands.answer import NO, UNDECIDED, YES, table
from governance.records import Measurement, Outcome, RuleResult, Verdict
from governance.reports import pairs, words

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {Outcome.BLOCK: "bold red", Outcome.WARN: "yellow", Outcome.NOT_ENOUGH_DATA: "magenta"}


def exit_code(verdict: Verdict) -> int:
    """Return 0 for pass and warn, 2 for block, 3 for not enough data (§10.7)."""
    return {Outcome.BLOCK: NO, Outcome.NOT_ENOUGH_DATA: UNDECIDED}.get(verdict.outcome, YES)


def show(
    out: "Console",
    verdict: Verdict,
    names: Mapping[str, str] | None = None,
    measurements: Sequence[Measurement] = (),
) -> None:
    """Print every rule with number, interval and limit, then groups that are too small, then waivers and the result.

    Args:
        out: Where to print.
        verdict: The verdict.
        names: Pseudonymous id → name, for who signed a waiver.
        measurements: What was judged, to say which groups a comparison speaks of.
    """
    few = verdict.with_outcome(Outcome.NOT_ENOUGH_DATA)
    small = [rule for rule in few if not rule.stops and rule.waiver is None]
    rules = table("verdict", "rule", "number", "interval", "limit", numbers=("number",))
    for rule in verdict.rules:
        if rule not in small and rule.outcome is not Outcome.NOT_APPLICABLE:
            rules.add_row(
                *_row(rule, measurements), style=STYLES[Outcome.WARN] if rule.waiver else STYLES.get(rule.outcome)
            )
    out.print(rules)
    if small:
        named = [f"{words.slice_words(rule.slice, rule.measure)} ({rule.n})" for rule in small]
        out.print(f"\nNot enough data, reported only: {words.listed(named)}.")
    told = [rule.slice for rule in small]
    if passed_over := pairs.left_out(verdict.rules, [one for one in measurements if one.slice not in told]):
        out.print(f"\nFurther apart, but too few rows to be compared: {words.listed(passed_over)}.")
    for reason, titles in _not_applicable(verdict).items():
        out.print(f"\n{reason[:1].upper()}{reason[1:].rstrip('.')}. So nothing is said of {words.listed(titles)}.")
    for rule in verdict.waived():
        if rule.waiver:
            out.print(f"\n{rule.title}: {words.waived(rule.waiver, names or {})}")
    out.print()
    out.print(words.headline(verdict), style=STYLES.get(verdict.outcome, "bold green"))
    out.print(words.counts(verdict))


def _not_applicable(verdict: Verdict) -> dict[str, list[str]]:
    """Return the rules that the tier lets be silent, by why."""
    by_reason: dict[str, list[str]] = {}
    for rule in verdict.with_outcome(Outcome.NOT_APPLICABLE):
        titles = by_reason.setdefault(rule.reason, [])
        titles += [words.inside(rule.title)] if words.inside(rule.title) not in titles else []
    return by_reason


def _row(rule: RuleResult, measurements: Sequence[Measurement]) -> tuple[str, str, str, str, str]:
    hard, warn = words.limit(rule)
    by = words.slice_words(rule.slice)
    groups = pairs.pair_of(rule, measurements) if rule.outcome in STYLES else None
    by = f"{by} ({groups.in_words})" if groups else by
    limit = warn if rule.outcome is Outcome.WARN and warn else hard or warn
    return (
        "waived" if rule.waiver else str(rule.outcome),
        f"{rule.title}, {by}" if by else rule.title,
        words.number(rule.measure, None if rule.measure.startswith("rule.") else rule.value),
        words.interval(rule.measure, rule.low, rule.high),
        limit if not rule.measure.startswith("rule.") else rule.reason,
    )
