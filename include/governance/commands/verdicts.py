"""A verdict in a terminal: the rules worst first, in 80 columns, readable without colour."""

from typing import TYPE_CHECKING

from governance.commands.answer import NO, UNDECIDED, YES, table
from governance.records import Outcome, RuleResult, Verdict
from governance.reports import words

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {Outcome.BLOCK: "bold red", Outcome.WARN: "yellow", Outcome.NOT_ENOUGH_DATA: "magenta"}


def exit_code(verdict: Verdict) -> int:
    """Return 0 for pass and warn, 2 for block, 3 for not enough data (§10.7)."""
    return {Outcome.BLOCK: NO, Outcome.NOT_ENOUGH_DATA: UNDECIDED}.get(verdict.outcome, YES)


def show(out: "Console", verdict: Verdict) -> None:
    """Print every rule with number, interval and limit, then the groups that are too small, then the result."""
    small = [rule for rule in verdict.rules if not rule.stops and rule.outcome is Outcome.NOT_ENOUGH_DATA]
    rules = table("verdict", "rule", "number", "interval", "limit", numbers=("number",))
    for rule in verdict.rules:
        if rule not in small:
            rules.add_row(*_row(rule), style=STYLES.get(rule.outcome))
    out.print(rules)
    if small:
        named = [f"{words.slice_words(rule.slice, rule.measure)} ({rule.n})" for rule in small]
        out.print(f"\nNot enough data, reported only: {words.listed(named)}.")
    out.print()
    out.print(words.headline(verdict), style=STYLES.get(verdict.outcome, "bold green"))
    out.print(words.counts(verdict))


def _row(rule: RuleResult) -> tuple[str, str, str, str, str]:
    hard, warn = words.limit(rule)
    by = words.slice_words(rule.slice)
    limit = warn if rule.outcome is Outcome.WARN and warn else hard or warn
    return (
        str(rule.outcome),
        f"{rule.title}, {by}" if by else rule.title,
        words.number(rule.measure, rule.value),
        words.interval(rule.measure, rule.low, rule.high),
        limit,
    )
