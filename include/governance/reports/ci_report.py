"""What a CI job is told of a model, whichever form it is written in."""

from collections.abc import Sequence
from dataclasses import dataclass

from governance.records import Outcome, RuleResult, Verdict


@dataclass(frozen=True)
class CiReport:
    """One judgement of one model.

    Attributes:
        model: The model's name.
        uri: What was judged.
        data: Where the rows came from.
        rows: How many.
        verdict: The policy's word; ``None`` where it did not come to one.
        unmet: Expectations of the contract that are not met: severity and sentence.
        contract_met: Whether the contract lets the data through.
        notes: What a reviewer should know.
        error: Why nothing was judged; then all of the rest but the model and its URI is empty.
        seconds: How long it took.
    """

    model: str
    uri: str
    data: str = ""
    rows: int = 0
    verdict: Verdict | None = None
    unmet: Sequence[tuple[str, str]] = ()
    contract_met: bool = True
    notes: Sequence[str] = ()
    error: str | None = None
    seconds: float = 0.0


WORST_FIRST = (Outcome.BLOCK, Outcome.NOT_ENOUGH_DATA, Outcome.WARN, Outcome.PASS, Outcome.NOT_APPLICABLE)


def worst_first(verdict: Verdict) -> list[RuleResult]:
    """Return the rules: those that stop the release, then by outcome, each in the policy's order."""
    return sorted(verdict.rules, key=lambda rule: (not rule.stops, WORST_FIRST.index(rule.outcome)))
