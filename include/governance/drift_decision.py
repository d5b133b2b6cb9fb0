"""From measurements of drift to a decision: the judgement that :mod:`governance.measures.drift` leaves to others.

A pure function of measurements and limits. Neighbours: :mod:`governance.commands.drift` prints it; what monitoring
decides looks at more than drift. Not guaranteed: that what is decided is right for a model whose policy says otherwise;
its limits go in as arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from governance.errors import InputError
from governance.records import Measurement

SHARE_DRIFTED = "drift.share_drifted"

RETRAIN_FROM = 0.1
"""Share of drifted columns from which a model is retrained, unless its policy says otherwise."""

SEVERE_FROM = 0.3
"""Share of drifted columns from which drift is severe."""


class DriftOutcome(StrEnum):
    """What the measurements say."""

    NOTHING = "nothing"
    DRIFTED = "drifted"
    SEVERE = "severe"
    NOT_ENOUGH_DATA = "not enough data"
    NOT_COMPARABLE = "not comparable"


ACTIONS = {DriftOutcome.NOTHING: "nothing", DriftOutcome.DRIFTED: "retrain", DriftOutcome.SEVERE: "roll back"}
"""Outcome → what follows from it. From the others nothing follows, for nothing is known."""


@dataclass(frozen=True)
class DriftDecision:
    """A decision and the rule that took it.

    Attributes:
        outcome: What was found.
        action: What follows: nothing, retrain or roll back; ``None`` where nothing could be decided.
        rule: The rule that decided, such as ``drift.share_drifted >= 0.1``.
        value: What the rule looked at; ``None`` where it could not be measured.
        reason: The decision in a sentence.
        drifted: The columns that drifted.
    """

    outcome: DriftOutcome
    action: str | None
    rule: str
    value: float | None
    reason: str
    drifted: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.__dict__, "outcome": str(self.outcome), "drifted": list(self.drifted)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "DriftDecision":
        """Inverse of :meth:`to_dict`."""
        named = {"outcome": DriftOutcome(document["outcome"]), "drifted": tuple(document["drifted"])}
        return cls(**{**document, **named})


def decide_drift(
    measured: Sequence[Measurement],
    drifted: Sequence[str] = (),
    *,
    retrain_from: float = RETRAIN_FROM,
    severe_from: float = SEVERE_FROM,
) -> DriftDecision:
    """Decide by the share of drifted columns.

    Args:
        measured: Measurements that ``drift.share_drifted`` is among.
        drifted: Names of the columns that drifted, for the sentence.
        retrain_from: From this share on the model is retrained.
        severe_from: From this share on the drift is severe.

    Raises:
        InputError: The limits are no shares, or in the wrong order.
    """
    check_limits(retrain_from, severe_from)
    share = next((one for one in measured if one.name == SHARE_DRIFTED), None)
    if share is None or share.value is None:
        reason = (share.reason if share else None) or "the share of drifted columns was not measured"
        few = reason.startswith(DriftOutcome.NOT_ENOUGH_DATA)
        outcome = DriftOutcome.NOT_ENOUGH_DATA if few else DriftOutcome.NOT_COMPARABLE
        return DriftDecision(outcome, None, SHARE_DRIFTED, None, reason)
    outcome, sign, limit = _outcome(share.value, retrain_from, severe_from)
    rule = f"{SHARE_DRIFTED} {sign} {limit:g}"
    said = _sentence(share, drifted, f"{'below' if sign == '<' else 'at least'} {limit:g}")
    return DriftDecision(outcome, ACTIONS[outcome], rule, share.value, said, tuple(drifted))


def check_limits(retrain_from: float, severe_from: float) -> None:
    """Refuse limits that are no shares, or in the wrong order.

    Raises:
        InputError: They are.
    """
    if not 0 < retrain_from <= severe_from <= 1:
        raise InputError(
            f"Expected limits with 0 < drifted <= severe <= 1, found {retrain_from:g} and {severe_from:g}: both are "
            f"shares of the columns."
        )


def _outcome(share: float, retrain_from: float, severe_from: float) -> tuple[DriftOutcome, str, float]:
    if share >= severe_from:
        return DriftOutcome.SEVERE, ">=", severe_from
    if share >= retrain_from:
        return DriftOutcome.DRIFTED, ">=", retrain_from
    return DriftOutcome.NOTHING, "<", retrain_from


def _sentence(share: Measurement, drifted: Sequence[str], limit: str) -> str:
    many = round((share.value or 0) * share.n)
    have = "has" if many == 1 else "have"
    named = f" ({', '.join(drifted[:10])}{' …' if len(drifted) > 10 else ''})" if drifted else ""
    return f"{many} of {share.n} columns {have} drifted{named}: {share.value:.3g} of them, {limit}"
