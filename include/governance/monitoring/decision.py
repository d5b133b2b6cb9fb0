"""What to do about a window, and why: a pure function of what was measured, what was decided before, and the policy.

Asked in this order, and the first that holds decides (DESIGN §5):

1. the scoring service refused more requests for their content than is usual → *data fault*: an upstream that broke;
   nothing was asked of the model → *silent*; people are told after some windows;
2. the data break the contract → *data fault*: never retrained, never rolled back;
3. too few rows → *too few*;
4. the loss rose, or groups are treated apart, in so many windows in a row → *roll back*;
5. so many features have drifted → *roll back* (severe);
6. a number of the model folder's own drift measure, or of an embedding, is beyond its limit, or missing → *call*, or
   *retrain* as below;
7. features have drifted, and the answers have not moved → *nothing*, and it is said to be harmless;
8. features have drifted → *retrain*, unless one waits for signatures, was trained lately, or too often;
9. otherwise → *nothing*.

A roll back needs a version to go back to that is no worse on this very window; without one people are called.

Neighbours: :mod:`governance.policyfile` has the limits; measures know none. Not guaranteed: that the cause is the one
that is named. A decision says which measurement crossed which limit, and no more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from governance.measures.drift_classifier import AUC, P_VALUE, as_psi
from governance.measures.fairness import TIMES
from governance.measures.intervals import wilson
from governance.policyfile import CustomLimit, Monitoring
from governance.records import Measurement

Json = dict[str, Any]
Action = Literal["silent", "data_fault", "too_few", "roll_back", "call", "retrain", "nothing"]

LOSS = "loss"
UNFAIR = "unfair"
PARITY = "fairness.demographic_parity_difference"
LOSS_RISE = "performance.loss_rise"
SHARE = "drift.share_drifted"
ERROR_HERE, PARITY_HERE, MOVED_HERE = "error", "parity difference", "PSI of the answers"
ANSWERS = "drift.prediction_psi"
CUSTOM = "drift.custom"


FEWEST_REFUSALS = 10
"""Fewer requests that were refused say nothing, but where none was answered."""


@dataclass(frozen=True)
class Refused:
    """Requests of a window that were refused for their content.

    Attributes:
        requests: How many.
        rows: How many rows they had.
        answered: How many requests were answered.
        why: The kinds of fault, the commonest first, in words.
    """

    requests: int = 0
    rows: int = 0
    answered: int = 0
    why: Sequence[str] = ()

    @property
    def low(self) -> float:
        """The lower end of the interval of the share that was refused, which chance explains."""
        return wilson(self.requests, self.requests + self.answered)[0] if self.requests else 0.0


@dataclass(frozen=True)
class Seen:
    """What is known of a window.

    Attributes:
        since: Its first moment.
        until: The first moment after it.
        rows: Predictions in it.
        measured: What was measured of it.
        faults: What of the contract it breaks, in sentences.
        validated: What the champion's evidence says of the same measures, by name and slice.
        others: Predictions of versions that served earlier in the window; nobody judges them.
        refused: What was not answered.
    """

    since: datetime
    until: datetime
    rows: int
    measured: Sequence[Measurement] = ()
    faults: Sequence[str] = ()
    validated: Sequence[Measurement] = ()
    others: int = 0
    refused: Refused = Refused()

    def measurement(self, name: str) -> Measurement | None:
        """Return a measurement of the whole, or ``None``."""
        return next((one for one in self.measured if one.name == name and not one.slice), None)

    def embedding(self, name: str) -> Measurement | None:
        """Return how well an embedding tells the window from what is usual, or ``None``."""
        return next((one for one in self.measured if one.name == AUC and one.slice.get("embedding") == name), None)


@dataclass(frozen=True)
class Before:
    """An earlier window of the same champion, as it was recorded.

    Attributes:
        until: Where it ended.
        action: What was decided.
        breaches: What was found wanting (``loss``, ``unfair race``), and whether: what could not be judged is absent.
        since: Where it began; its end where that is not known.
    """

    until: datetime
    action: Action
    breaches: Mapping[str, bool] = field(default_factory=dict)
    since: datetime | None = None

    def overlaps(self, other: "Before") -> bool:
        """Say whether both hold the same moment."""
        return (self.since or self.until) < other.until and (other.since or other.until) < self.until


@dataclass(frozen=True)
class Target:
    """A version that could be rolled back to, tried on this very window.

    Attributes:
        version: Semantic version.
        evidence: Digest of what was signed.
        beside: How wrong it is on the window, and how wrong the champion is: by ``error`` and ``parity difference``
            where labels and groups are known, and by ``PSI of the answers``, how far each has moved from what was
            validated.
        lacks: Features that it reads and the champion does not: it could not be tried on the window.
    """

    version: str
    evidence: str
    beside: Mapping[str, tuple[float, float]]
    lacks: Sequence[str] = ()

    def is_no_worse(self, rule: str) -> bool:
        """Say whether it is no worse by what the rule is about."""
        return not self.lacks and all(its <= mine for its, mine in (self.beside[name] for name in self.asked(rule)))

    def why(self, rule: str) -> str:
        """Say how it compares."""
        if self.lacks:
            return f"it reads {', '.join(self.lacks)}, which the window does not hold, so it could not be tried."
        told = [f"{name} {self.beside[name][0]:.3f} beside {self.beside[name][1]:.3f}" for name in self.asked(rule)]
        return f"on this window, {' and '.join(told)} of what serves."

    def asked(self, rule: str) -> list[str]:
        """Return what is compared: what the rule is about where it is known, else how far the answers have moved."""
        wanted = PARITY_HERE if rule == "parity_difference" else ERROR_HERE
        return [wanted if wanted in self.beside else MOVED_HERE]


@dataclass(frozen=True)
class Standing:
    """What stands in the way of an action, at the cut-off of the window.

    Attributes:
        before: Earlier windows of the same champion, in any order.
        targets: Versions with a valid permit, the newest first. Looked at once, and only where a rule wants one: each
            is fetched and tried on the window then.
        waiting: The candidate that waits for signatures, or is on its way.
        released: When the champion began to serve.
        without_target: What the policy says where there is no version to go back to.
        retrained: When a monitor last asked for each of its retrainings.
        rolled_back: When this model was last rolled back.
    """

    before: Sequence[Before] = ()
    targets: Iterable[Target] = ()
    without_target: Literal["suspend", "keep_and_call"] = "keep_and_call"
    waiting: str | None = None
    released: datetime | None = None
    retrained: Sequence[datetime] = ()
    rolled_back: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """What is to be done, by which rule, and why.

    Attributes:
        action: What.
        rule: The rule that took it, as the policy or this module names it.
        because: Why, in sentences; the first is the headline.
        breaches: As :class:`Before`, for the windows to come.
        flagged: Columns that drifted, whether or not anything is done about them.
        target: The version to go back to.
        tell: Whether people are told though nothing is done.
    """

    action: Action
    rule: str
    because: tuple[str, ...]
    breaches: Mapping[str, bool] = field(default_factory=dict)
    flagged: tuple[str, ...] = ()
    target: Target | None = None
    tell: bool = False

    def to_dict(self) -> Json:
        """Return the JSON form."""
        to = self.target
        beside = {name: list(pair) for name, pair in to.beside.items()} if to else {}
        target = {"version": to.version, "evidence": to.evidence, "beside": beside} if to else None
        return {**self.__dict__, "because": list(self.because), "breaches": dict(self.breaches),
                "flagged": list(self.flagged), "target": target}  # fmt: skip


def decide(limits: Monitoring, seen: Seen, standing: Standing) -> Decision:
    """Decide about a window.

    Args:
        limits: The policy's.
        seen: The window.
        standing: What happened before, and what could be done.
    """
    case = _Case(limits, seen, standing, dict(found_wanting(limits, seen)), drifted_columns(limits, seen.measured))
    rules = (case.refused, case.silent, case.data_fault, case.too_few, case.persistent, case.severe, case.custom,
             case.slight, case.harmless)  # fmt: skip
    return next((found for rule in rules if (found := rule())), None) or case.shift()


def found_wanting(limits: Monitoring, seen: Seen) -> Iterator[tuple[str, bool]]:
    """Yield what this window says of loss and fairness; what it cannot say is left out.

    A rise of the loss counts where its lower end is above the limit. Groups are treated apart where the difference is
    at least the limit, and its lower end above the difference that people signed: the limit alone would be crossed by
    chance in small groups. Intersections are smaller still; as at the release they are reported, and stop nothing.
    """
    rise = seen.measurement(LOSS_RISE)
    if rise is not None and rise.low is not None:
        yield LOSS, rise.low > limits.loss
    signed = {one.slice.get("attribute"): one.value or 0.0 for one in seen.validated if one.name == PARITY}
    for one in seen.measured:
        attribute = one.slice.get("attribute")
        judged = attribute in signed and TIMES not in str(attribute)
        if one.name == PARITY and one.value is not None and one.low is not None and judged:
            apart = one.value >= limits.parity_difference and one.low > signed[attribute]
            yield f"{UNFAIR} {attribute}", apart


def drifted_columns(limits: Monitoring, measured: Sequence[Measurement]) -> tuple[str, ...]:
    """Return what differs by more than chance, the farthest first: told to people, not acted on alone."""
    by_name = {(one.name, one.slice.get("column", one.slice.get("embedding"))): one.value for one in measured}
    found = [
        str(name)
        for (measure, name), p in by_name.items()
        if measure in ("drift.p_value", P_VALUE) and p is not None and p <= limits.false_alarms
    ]

    def far(name: str) -> float:
        return max(by_name.get(("drift.psi", name)) or 0.0, as_psi(by_name.get((AUC, name)) or 0.5))

    return tuple(sorted(found, key=lambda name: -far(name)))


# --- the rules, one after the other --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """One window before the rules; each rule decides, or leaves it to the next."""

    limits: Monitoring
    seen: Seen
    standing: Standing
    breaches: Mapping[str, bool]
    flagged: tuple[str, ...]

    def decided(
        self, action: Action, rule: str, *because: str, target: Target | None = None, tell: bool = False
    ) -> Decision:
        return Decision(action, rule, because, self.breaches, self.flagged, target, tell)

    def refused(self) -> Decision | None:
        """More was refused than is usual, beyond chance; or all of it, where that is no handful."""
        found, limit = self.seen.refused, self.limits.refused_share
        often = found.requests >= FEWEST_REFUSALS and found.low > limit
        nothing_else = not self.seen.rows and found.rows >= self.limits.minimum_rows
        if not often and not nothing_else:
            return None
        whole = found.requests + found.answered
        share = f"{found.requests} of {whole} requests ({found.requests / whole:.0%}, at least {found.low:.0%})"
        said = f"The scoring service refused {share} for their content, {limit:.0%} at most are usual."
        # What was answered is what the fault left over: it says nothing of loss or fairness.
        return replace(self, breaches={}).decided("data_fault", "refused_share", said, *found.why, tell=True)

    def silent(self) -> Decision | None:
        if self.seen.rows or self.seen.others:
            return None
        quiet = 1
        for one in sorted(self.standing.before, key=lambda one: one.until, reverse=True):
            if one.action != "silent":
                break
            quiet += 1
        row = f", for the {_ordinal(quiet)} window in a row" if quiet > 1 else ""
        because = f"Nothing was asked of the model{row}."
        return self.decided("silent", "silent_windows", because, tell=quiet == self.limits.silent_windows)

    def data_fault(self) -> Decision | None:
        if not self.seen.faults:
            return None
        first, *others = self.seen.faults
        said = f"The data break the contract: {first}."
        return self.decided("data_fault", "contract", said, *(f"{one}." for one in others[:5]), tell=True)

    def too_few(self) -> Decision | None:
        if self.seen.rows >= self.limits.minimum_rows:
            return None
        few = f"{self.seen.rows} predictions are too few to decide anything: {self.limits.minimum_rows} are needed."
        other = f"{self.seen.others} more are of versions that served before, and are judged by nobody."
        return self.decided("too_few", "minimum_rows", few, *([other] if self.seen.others else []))

    def persistent(self) -> Decision | None:
        """A loss, or an unfairness, in this window and in enough before it."""
        for name in (name for name, found in self.breaches.items() if found):
            judged = [one for one in self.standing.before if name in one.breaches and one.until <= self.seen.since]
            if _in_a_row(name, judged) >= self.limits.windows - 1:
                times = f", in {self.limits.windows} windows in a row." if self.limits.windows > 1 else "."
                return self.back("loss" if name == LOSS else "parity_difference", self.wanting(name) + times)
        return None

    def severe(self) -> Decision | None:
        share = self.seen.measurement(SHARE)
        if share is None or share.value is None:
            why = share.reason if share else "drift was not measured"
            return self.decided("call", "missing", f"The drift of the window is not known: {why}.", tell=True)
        return (
            self.back("severe_share", f"{self.drifted}: severe.") if share.value >= self.limits.severe_share else None
        )

    def custom(self) -> Decision | None:
        """Numbers of the model's own: those that are missing call people, the others do what their limit says."""
        failed = [one for one in self.seen.measured if one.name.startswith(CUSTOM) and one.value is None]
        limited = list(self._limited())
        absent = [name for name, _, one in limited if one is None]
        beyond = [(limit, said) for name, limit, one in limited if one and (said := _beyond(name, limit, one))]
        if failed or absent:
            why = failed[0].reason if failed else f"it did not return {', '.join(absent)}"
            said = f"The model's own drift measure is not known: {why}."
            return self.decided("call", "custom", said, *(said for _, said in beyond), tell=True)
        calls = [said for limit, said in beyond if limit.action == "call"]
        if calls:
            return self.decided("call", "custom", *calls, tell=True)
        return self.train("custom", " ".join(said for _, said in beyond)) if beyond else None

    def _limited(self) -> Iterator[tuple[str, CustomLimit, Measurement | None]]:
        for name, limit in self.limits.custom.items():
            yield name, limit, self.seen.measurement(f"{CUSTOM}.{name}")
        for name, limit in self.limits.embeddings.items():
            yield name, limit, self.seen.embedding(name)

    def slight(self) -> Decision | None:
        if self.share >= self.limits.drifted_share:
            return None
        limit = f"below the {self.limits.drifted_share:.0%} at which a model is trained again"
        little = f"By more than chance, but by little, have moved: {_listed(self.flagged)}." if self.flagged else ""
        said = f"{self.drifted}, {limit}." if self.share else little or "No feature has drifted."
        return self.decided("nothing", "drifted_share", *self.watched(), said, tell=any(self.breaches.values()))

    def harmless(self) -> Decision | None:
        moved = self.seen.measurement(ANSWERS)
        if moved is None or moved.value is None or any(self.breaches.values()):
            return None
        if (moved.low or 0.0) > self.limits.prediction_drift:
            return None
        said = f"{self.drifted}, but the answers have not moved (PSI {moved.value:.3f}): harmless."
        return self.decided("nothing", "prediction_drift", said, tell=True)

    def shift(self) -> Decision:
        """Features and answers have moved."""
        return self.train("drifted_share", f"{self.drifted}.")

    def train(self, rule: str, said: str) -> Decision:
        """Train again, unless one waits, it was done lately, or too often."""
        limits, standing, until = self.limits, self.standing, self.seen.until
        month = [at for at in standing.retrained if at > until - timedelta(days=30)]
        changes = [at for at in (*standing.retrained, standing.rolled_back) if at is not None]
        rest = max(changes) + timedelta(days=limits.cooldown_days) if changes else until
        if standing.waiting:
            hold = f"Nothing is trained while {standing.waiting} waits for signatures."
            return self.decided("nothing", "waiting", said, hold)
        if until < rest:
            hold = f"Nothing is trained before {rest:%d %b %Y}: {limits.cooldown_days} days after the last change."
            return self.decided("nothing", "cooldown_days", said, hold)
        if len(month) >= limits.retrains_per_month:
            hold = f"{len(month)} retrainings in 30 days are as many as the policy allows: a person must look."
            return self.decided("call", "retrains_per_month", said, hold, tell=True)
        return self.decided("retrain", rule, said)

    def back(self, rule: str, said: str) -> Decision:
        """Roll back to the newest version that is no worse on this window; call people where there is none."""
        worse = []
        for target in self.standing.targets:
            if target.is_no_worse(rule):
                why = f"Back to {target.version}: {target.why(rule)}"
                return self.decided("roll_back", rule, said, why, target=target)
            worse.append(f"{target.version} is no way back: {target.why(rule)}")
        none = worse or ["No earlier version has a valid permit."]
        if self.standing.without_target == "suspend":
            return self.decided(
                "roll_back", rule, said, *none, "So it is stopped: the policy suspends what has no way back."
            )
        return self.decided("call", rule, said, *none, tell=True)

    def watched(self) -> list[str]:
        """Say what was found wanting in this window, but not yet in enough of them."""
        yet = f": not yet in {self.limits.windows} windows in a row."
        return [self.wanting(name) + yet for name, found in self.breaches.items() if found]

    def wanting(self, name: str) -> str:
        """Say what was found wanting, without a full stop."""
        if name == LOSS:
            rise = next(one for one in self.seen.measured if one.name == LOSS_RISE)
            least = f"at least {rise.low:.3f}, on {rise.n} labels"
            return f"The loss is {rise.value:.3f} above what was validated ({least})"
        attribute = name.removeprefix(f"{UNFAIR} ")
        now, signed = _parity(self.seen.measured, attribute), _parity(self.seen.validated, attribute)
        beside = (
            f"at least {now.low:.3f}; {signed.value:.3f} was signed, {self.limits.parity_difference:g} is the limit"
        )
        return f"The parity difference by {attribute} is {now.value:.3f} ({beside})"

    @property
    def share(self) -> float:
        share = self.seen.measurement(SHARE)
        return share.value or 0.0 if share else 0.0

    @property
    def drifted(self) -> str:
        share = self.seen.measurement(SHARE)
        n = share.n if share else 0
        farthest = self.flagged[: round(self.share * n)]
        return f"{self.share:.0%} of {n} features have drifted{_named(farthest)}"


def _beyond(name: str, limit: CustomLimit, one: Measurement) -> str | None:
    """Say by how much a number is beyond its limit, where its nearer end is."""
    if not limit.is_crossed_by(one) or one.value is None:
        return None
    if limit.is_above(one):
        low = one.value if one.low is None else one.low
        return f"{name} is {one.value:.3g} (at least {low:.3g}; {limit.at_most:g} is the limit)."
    high = one.value if one.high is None else one.high
    return f"{name} is {one.value:.3g} (at most {high:.3g}; {limit.at_least:g} is the limit)."


def _in_a_row(name: str, judged: Iterable[Before]) -> int:
    """Return in how many windows before, none of which overlap, something was found wanting without one in between.

    Anybody who may start a monitor may have it look at any window. So one that overlaps another counts once, and a part
    of a bad window that is not bad by itself interrupts nothing.
    """
    latest = sorted(judged, key=lambda one: one.until, reverse=True)
    bad = [one for one in latest if one.breaches[name]]
    counted: list[Before] = []
    for one in latest:
        if one.breaches[name]:
            counted += [] if any(one.overlaps(other) for other in counted) else [one]
        elif not any(one.overlaps(other) for other in bad):
            break
    return len(counted)


def _parity(measured: Sequence[Measurement], attribute: str) -> Measurement:
    return next(one for one in measured if one.name == PARITY and one.slice.get("attribute") == attribute)


def _named(columns: Sequence[str]) -> str:
    return f" ({_listed(columns)})" if columns else ""


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return f"{', '.join(columns[:5])}{more}"


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
