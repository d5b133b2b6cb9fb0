"""The facts that stages hand to each other: frozen, small, and the same on disk, on the wire and in memory.

Every record has ``to_dict`` and ``from_dict``, which are inverse to each other, and holds only what JSON can say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Self

Json = Any


class Outcome(StrEnum):
    """What the policy says of a rule, or of the whole. The words are those of the design."""

    PASS = "pass"
    WARN = "warn"
    NOT_ENOUGH_DATA = "not enough data"
    BLOCK = "block"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Measurement:
    """One number that a measure produced.

    Attributes:
        name: ``<family>.<measure>``, for example ``fairness.selection_rate``.
        value: The estimate; ``None`` where it could not be computed, and then ``reason`` says why.
        n: How many rows it rests on (its own denominator).
        slice: The part of the data it speaks of. ``{}`` is everything; ``{"race": "Hispanic"}`` one group;
            ``{"race": "Black", "sex": "women"}`` an intersection; ``{"attribute": "race"}`` or
            ``{"attribute": "race × sex"}`` a comparison between all groups of that attribute;
            ``{"column": "income"}`` one column.
        low: Lower end of the 95 % interval, where one exists.
        high: Upper end of the 95 % interval, where one exists.
        method: How the interval was made: ``wilson``, ``bootstrap``, ``delong``, ``counted`` …
        reason: Why there is no value.
    """

    name: str
    value: float | None
    n: int
    slice: Mapping[str, str] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    method: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Turn what is not a number into an absent value with a reason: nothing makes NaN into a pass."""
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is None:
                continue
            number = float(number)
            if not math.isfinite(number):
                if name == "value" and not self.reason:
                    object.__setattr__(self, "reason", f"the result is {number}")
                number = None
            object.__setattr__(self, name, number)
        if self.value is None and not self.reason:
            raise ValueError(f"{self.name}: a measurement without a value must say why (reason).")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "slice", dict(self.slice))

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What identifies the measurement within one set: its name and its slice."""
        return self.name, tuple(sorted(self.slice.items()))

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form; absent parts are left out, ``value`` never is."""
        document: dict[str, Json] = {
            "name": self.name,
            "slice": dict(self.slice),
            "value": self.value,
            "n": self.n,
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "reason": self.reason,
        }
        return {name: value for name, value in document.items() if value is not None or name == "value"}

    @classmethod
    def from_dict(cls, document: Mapping[str, Json]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**document)


@dataclass(frozen=True)
class Waiver:
    """A signed exception from one rule of one model's policy, its signatures checked already.

    Attributes:
        digest: Of what was signed.
        rule: The rule's id.
        slice: Which of the rule's results; ``None`` for all of them.
        demands: What the rule demanded when people signed; another demand is another rule.
        reason: Why, in a sentence.
        until: The last day on which it counts, UTC.
        by: Who signed: ``person`` and ``role`` of each.
    """

    digest: str
    rule: str
    slice: Mapping[str, str] | None
    demands: Mapping[str, Json]
    reason: str
    until: date
    by: Sequence[Mapping[str, str]]

    @property
    def ends(self) -> datetime:
        """The moment from which it counts no more: when its last day is over."""
        return datetime.combine(self.until + timedelta(days=1), time(), UTC)

    def counts_for(self, rule: str, slice_: Mapping[str, str], demands: Mapping[str, Json], at: datetime) -> bool:
        """Say whether it speaks of this result of this rule, and has not ended."""
        speaks = self.rule == rule and self.slice in (None, dict(slice_)) and dict(self.demands) == dict(demands)
        return speaks and at < self.ends

    def to_dict(self) -> dict[str, Json]:
        """Return what a verdict says of it."""
        return {
            "digest": self.digest,
            "until": self.until.isoformat(),
            "reason": self.reason,
            "by": [dict(one) for one in self.by],
        }


@dataclass(frozen=True)
class RuleResult:
    """What one rule of the policy said about one measurement.

    Attributes:
        rule: The rule's id in the policy.
        title: The rule in words, as people read it: ``Parity difference``.
        measure: The name of the measurement it judged.
        slice: The slice of the measurement it judged.
        outcome: The verdict.
        value: The estimate, repeated here so that a verdict reads by itself.
        low: Lower end of its interval.
        high: Upper end of its interval.
        n: How many rows it rests on.
        bound: What was compared with the limit: ``estimate``, ``low`` or ``high``.
        limits: ``at_least``, ``at_most``, ``warn_below``, ``warn_above`` as the policy has them.
        stops: Whether this outcome stops a release (a group below the minimum n is reported only).
        reason: The outcome in a sentence.
        waiver: The exception that lets a release through although the outcome would stop it: ``digest``, ``until``,
            ``reason``, ``by``. The outcome stays what it is.
    """

    rule: str
    title: str
    measure: str
    slice: Mapping[str, str]
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    bound: str
    limits: Mapping[str, float]
    stops: bool
    reason: str
    waiver: Mapping[str, Json] | None = None

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form; ``waiver`` is left out where there is none."""
        document = {
            **self.__dict__,
            "slice": dict(self.slice),
            "limits": dict(self.limits),
            "outcome": str(self.outcome),
        }
        waiver = document.pop("waiver")
        return document if waiver is None else {**document, "waiver": dict(waiver)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Json]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**{**document, "outcome": Outcome(document["outcome"])})


@dataclass(frozen=True)
class Verdict:
    """The policy's word on a candidate: rule by rule and for the whole."""

    outcome: Outcome
    rules: tuple[RuleResult, ...]

    @property
    def may_be_released(self) -> bool:
        """Whether nothing in it stops a release (signatures are another matter)."""
        judged = any(rule.outcome is not Outcome.NOT_APPLICABLE for rule in self.rules)
        return judged and not any(rule.stops for rule in self.rules)

    def failing(self) -> tuple[RuleResult, ...]:
        """Return the rules that stop the release."""
        return tuple(rule for rule in self.rules if rule.stops)

    def waived(self) -> tuple[RuleResult, ...]:
        """Return the rules that would stop the release, were there no waiver."""
        return tuple(rule for rule in self.rules if rule.waiver is not None)

    def with_outcome(self, outcome: Outcome) -> tuple[RuleResult, ...]:
        """Return the rules with this outcome."""
        return tuple(rule for rule in self.rules if rule.outcome is outcome)

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form."""
        return {"outcome": str(self.outcome), "rules": [rule.to_dict() for rule in self.rules]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Json]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(Outcome(document["outcome"]), tuple(RuleResult.from_dict(rule) for rule in document["rules"]))


@dataclass(frozen=True)
class Dataset:
    """Something a stage read or wrote, as lineage names it (OpenLineage's naming rules where they exist).

    Attributes:
        namespace: Where it lives.
        name: What it is called there.
        facets: What is known of it, by the names of OpenLineage's facets and of ours (``governance_model`` …).
    """

    namespace: str
    name: str
    facets: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """What one task read and what it wrote.

    Attributes:
        inputs: What it read.
        outputs: What it wrote.
        run: What is known of the run itself, by the names of facets.
    """

    inputs: Sequence[Dataset] = ()
    outputs: Sequence[Dataset] = ()
    run: Mapping[str, Json] = field(default_factory=dict)
