"""What the ledger says of watched models: the windows of one, and the last word on all of them.

Read in few bounded queries, and only what the pages show. One model: its last decisions, and the entries that they
rest on. All models: :class:`Recent` keeps a line for each window in memory, reads each entry once, and asks the ledger
only for what is new. Entries never change, so nothing that is kept goes stale; a ledger that no longer ends where it
did is read anew. Neighbours: :mod:`governance.monitoring.decision` has the names of the measures. Not guaranteed: that
the limits of today are those that an older window was held against; each window names the policy that decided it.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from governance.errors import GovernanceError, InputError
from governance.ledger.log import Entry, Ledger
from governance.measures.drift_shapes import Shape
from governance.monitoring.decision import PARITY, SHARE, UNFAIR
from governance.policyfile import Monitoring
from governance.records import Measurement
from governance.review import entries
from governance.review.desk import ReviewDesk
from governance.review.entries import Term

Json = dict[str, Any]

WINDOW, WATCHED, DECIDED, REPORT, ROLLBACK = "window", "watched", "monitoring", "report", "rollback"
"""Kinds of entries: what was seen, what was measured of it, what was decided, Evidently's report, and what was gone
back to."""

WINDOWS = 90
"""How many windows a model's page reaches back."""


@dataclass(frozen=True)
class Window:
    """One window: its decision, and what that rests on.

    Attributes:
        decided: The entry of the decision; the latest, where a window was decided more than once.
        watched: What was measured; ``None`` where it is older than what was read.
        seen: What was counted; likewise.
    """

    decided: Entry
    watched: Entry | None = None
    seen: Entry | None = None

    @property
    def since(self) -> datetime:
        """Its first moment."""
        return datetime.fromisoformat(self.decided.data["since"])

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return datetime.fromisoformat(self.decided.data["until"])

    @property
    def decision(self) -> Json:
        """What was decided, as it is on record."""
        return dict(self.decided.data["decision"])

    @property
    def action(self) -> str:
        """What was decided, in a word."""
        return str(self.decision["action"])

    @property
    def champion(self) -> str | None:
        """Digest of the evidence of what served."""
        return self.decided.data["champion"]  # type: ignore[no-any-return]  # the entry says a text or nothing

    def counted(self, name: str) -> int:
        """Return how many ``rows`` or ``labelled`` rows there were."""
        return int(self.seen.data.get(name) or 0) if self.seen else 0

    @cached_property
    def measured(self) -> Sequence[Measurement]:
        """Every measurement of the window."""
        return [Measurement.from_dict(one) for one in self._documents]

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """How each feature was distributed then and in this window, by its name; what the model says has none."""
        kept = (self.watched.data.get("shapes") or []) if self.watched else []
        return {one["column"]: Shape.from_dict(one) for one in kept}

    def measurement(self, name: str, attribute: str | None = None) -> Measurement | None:
        """Return a measurement of the whole, or of the comparison between the groups of an attribute."""
        wanted = {"attribute": attribute} if attribute else {}
        found = (one for one in self._documents if one["name"] == name and one.get("slice", {}) == wanted)
        return next((Measurement.from_dict(one) for one in found), None)

    @cached_property
    def attributes(self) -> list[str]:
        """The attributes whose groups were compared, in the order of the record."""
        return [str(one["slice"]["attribute"]) for one in self._documents if one["name"] == PARITY]

    @property
    def _documents(self) -> Sequence[Json]:
        return self.watched.data["measurements"] if self.watched else []


@dataclass(frozen=True)
class History:
    """A model's last windows, and what happened to it meanwhile.

    Attributes:
        model: Its name.
        windows: Oldest first, one for each stretch of time.
        terms: What served when, oldest first.
        rollbacks: Entries of what was gone back to.
        limits: Of the policy in force; ``None`` where the model's folder is gone or has faults.
        policy: Digest of the policy in force.
        signed: Parity difference that was signed, by the champion's evidence and the attribute.
        why_no_limits: What is wrong with the folder.
    """

    model: str
    windows: Sequence[Window]
    terms: Sequence[Term] = ()
    rollbacks: Sequence[Entry] = ()
    limits: Monitoring | None = None
    policy: str = ""
    signed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    why_no_limits: str = ""

    @property
    def serves(self) -> Term | None:
        """What serves now."""
        return self.terms[-1] if self.terms and self.terms[-1].until is None else None

    @property
    def attributes(self) -> list[str]:
        """Attributes whose groups were compared in any window; crossed ones only where they were found apart."""
        found = dict.fromkeys(name for window in reversed(self.windows) for name in window.attributes)
        apart = {
            name.removeprefix(f"{UNFAIR} ")
            for window in self.windows
            for name, beyond in window.decision["breaches"].items()
            if beyond
        }
        return [name for name in found if " × " not in name or name in apart]

    def signed_of(self, window: Window, attribute: str) -> float | None:
        """Return the parity difference that was signed of what served in a window."""
        return self.signed.get(window.champion or "", {}).get(attribute)


def history_of(desk: ReviewDesk, model: str, last: int = WINDOWS) -> History:
    """Return a model's last windows.

    Args:
        desk: Where the ledger and the files in force are.
        model: The model.
        last: How many windows at most.

    Raises:
        InputError: There is neither a folder nor an entry of such a model.
    """
    ledger = desk.ledger
    windows = _windows(ledger, model, last)
    terms = entries.terms(ledger, model)
    limits, policy, why = _limits(desk, model, known=bool(windows or terms))
    return History(
        model,
        windows,
        terms,
        ledger.find(kind=ROLLBACK, subject=model, newest_first=True, limit=last)[::-1],
        limits,
        policy,
        {digest: _signed(ledger, model, digest) for digest in {one.champion for one in windows} if digest},
        why,
    )


def day_of(desk: ReviewDesk, model: str, number: int) -> Window:
    """Return one window by the number of its decision in the ledger.

    Raises:
        InputError: That entry is no decision on this model.
    """
    found = desk.ledger.find(kind=DECIDED, subject=model, after=number - 1, limit=1)
    if not found or found[0].seq != number:
        raise InputError(f"Expected a decision on {model} in entry {number} of the ledger, found none.")
    data = found[0].data
    return Window(found[0], desk.ledger.get(data["watched"]), desk.ledger.get(data["window"]))


def report_of(ledger: Ledger, window: Window) -> Json | None:
    """Return where Evidently's report of a window is kept, and what it is made of; ``None`` where there is none."""
    found = ledger.get(window.decided.key.replace(f"{DECIDED}:", f"{REPORT}:", 1))
    return dict(found.data) if found is not None and found.kind == REPORT else None


def _windows(ledger: Ledger, model: str, last: int) -> list[Window]:
    read = {
        kind: ledger.find(kind=kind, subject=model, newest_first=True, limit=last)
        for kind in (DECIDED, WATCHED, WINDOW)
    }
    by_key = {entry.key: entry for kind in (WATCHED, WINDOW) for entry in read[kind]}
    latest: dict[tuple[str, str], Window] = {}
    for entry in read[DECIDED]:
        data = entry.data
        window = Window(entry, by_key.get(data["watched"]), by_key.get(data["window"]))
        latest.setdefault((data["since"], data["until"]), window)
    return sorted(latest.values(), key=lambda window: window.until)


def _limits(desk: ReviewDesk, model: str, *, known: bool) -> tuple[Monitoring | None, str, str]:
    try:
        policy = desk.policy(model) if (desk.settings.models / model / "model.yaml").is_file() else None
    except GovernanceError as error:
        return None, "", str(error)
    if policy is not None:
        return policy.monitoring, policy.digest, ""
    if not known:
        raise InputError(f"Expected a model that is governed or was, found {model!r} in neither files nor ledger.")
    return None, "", f"There is no folder include/models/{model} any more."


def _signed(ledger: Ledger, model: str, digest: str) -> dict[str, float]:
    try:
        evidence = entries.evidence_entry(ledger, model, digest).data["evidence"]
    except GovernanceError:
        return {}
    found = (one for one in evidence.get("measurements", []) if one["name"] == PARITY)
    return {one["slice"]["attribute"]: one["value"] for one in found if one["value"] is not None}


# --- all models ----------------------------------------------------------------------------------------------------

SPARK = 30
"""Windows of each model that the list of all shows."""

MODELS_AT_ONCE = 40
"""Models of which one request reads all those windows at most; of the others it knows the last. The next reads on."""

MEASURED_AT_ONCE = 120
"""Entries of measurements, each far larger than a decision, that one request reads at most: only for decisions that do
not hold the share of drifted features themselves."""

WORST_FIRST = ("call", "data_fault", "roll_back", "retrain", "silent", "too_few", "nothing")


@dataclass
class Brief:
    """One window in a line.

    Attributes:
        seq: Of the decision.
        since: Its first moment.
        until: The first moment after it.
        action: What was decided.
        because: The headline.
        wanting: What was found wanting: a loss, or an unfairness by an attribute.
        tell: Whether people were told.
        dry_run: Whether what was decided is only told.
        watched: Key of what was measured.
        share: Share of drifted features.
        is_measured: Whether the share has been looked up, whatever came of it.
    """

    seq: int
    since: datetime
    until: datetime
    action: str
    because: str
    wanting: Sequence[str]
    tell: bool
    dry_run: bool
    watched: str
    share: float | None
    is_measured: bool


@dataclass(frozen=True)
class Watched:
    """The last word on one model.

    Attributes:
        model: Its name.
        version: What serves now, as the ledger has it.
        windows: Its last windows, oldest first, at most :data:`SPARK`.
        is_read: Whether it is known that there are no others.
        incidents: How many of its incidents nobody has closed.
    """

    model: str
    version: str | None
    windows: Sequence[Brief]
    is_read: bool
    incidents: int = 0

    @property
    def last(self) -> Brief | None:
        """Its last window."""
        return self.windows[-1] if self.windows else None


class Recent:
    """The last windows of all models, kept in the memory of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget(None)

    def read(self, ledger: Ledger, models: Sequence[str]) -> list[Watched]:
        """Return the last word on each model, in the order given.

        Args:
            ledger: The record.
            models: Their names.
        """
        with self._lock:
            if ledger is not self._ledger or not self._ends_as_before(ledger):
                self._forget(ledger)
            self._follow(ledger, len(models))
            self._read_whole(ledger, models)
            self._measure(ledger, models)
            return [self._watched(model) for model in models]

    def _forget(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._windows: dict[str, dict[tuple[datetime, datetime], Brief]] = {}
        self._changes: dict[str, list[Entry]] = {}
        self._newest: Entry | None = None
        self._newest_change = 0
        self._read: set[str] = set()
        self._is_whole = False

    def _ends_as_before(self, ledger: Ledger) -> bool:
        """Say whether the newest entry that is known is still there: a server that crashed may have lost it."""
        if self._newest is None:
            return True
        found = ledger.get(self._newest.key)
        return found is not None and (found.seq, found.leaf) == (self._newest.seq, self._newest.leaf)

    def _follow(self, ledger: Ledger, models: int) -> None:
        """Read what is new; at first, so much of the newest that every model that is watched daily is among it."""
        if self._newest is None:
            most = 2 * models + SPARK
            found = ledger.find(kind=DECIDED, newest_first=True, limit=most)
            self._is_whole = len(found) < most
        else:
            found = ledger.find(kind=DECIDED, after=self._newest.seq)[::-1]
        self._newest = found[0] if found else self._newest
        self._take(found)
        changes = [e for kind in entries.CHANGES for e in ledger.find(kind=kind, after=self._newest_change)]
        for entry in changes:
            self._changes.setdefault(entry.subject, []).append(entry)
        # Releases were read after decisions, so none is missing up to the newest decision.
        known = self._newest.seq if self._newest else 0
        self._newest_change = max([self._newest_change, known, *(entry.seq for entry in changes)])

    def _take(self, found: Sequence[Entry]) -> None:
        for entry in found:
            brief = _brief(entry)
            mine = self._windows.setdefault(entry.subject, {})
            known = mine.get((brief.since, brief.until))
            if known is None or known.seq < brief.seq:
                mine[brief.since, brief.until] = brief
        for model in {entry.subject for entry in found}:
            kept = sorted(self._windows[model].values(), key=lambda one: one.until)[-SPARK:]
            self._windows[model] = {(one.since, one.until): one for one in kept}

    def _read_whole(self, ledger: Ledger, models: Sequence[str]) -> None:
        if self._is_whole:
            return
        left = [model for model in models if model not in self._read]
        for model in sorted(left, key=self._severity)[:MODELS_AT_ONCE]:
            self._take(ledger.find(kind=DECIDED, subject=model, newest_first=True, limit=SPARK))
            self._read.add(model)

    def _measure(self, ledger: Ledger, models: Sequence[str]) -> None:
        budget = MEASURED_AT_ONCE
        for model in sorted(models, key=self._severity):
            open_ = [one for one in self._windows.get(model, {}).values() if not one.is_measured]
            if not open_ or budget <= 0:
                continue
            budget -= len(open_)
            entries_ = ledger.find(kind=WATCHED, subject=model, newest_first=True, limit=len(open_))
            by_key = {entry.key: entry for entry in entries_}
            for one in open_:
                one.share, one.is_measured = _share(by_key.get(one.watched) or ledger.get(one.watched)), True

    def _severity(self, model: str) -> int:
        """Return how soon a model is read: what nothing is known of first, then the worst."""
        mine = self._windows.get(model)
        return WORST_FIRST.index(list(mine.values())[-1].action) if mine else -1

    def _watched(self, model: str) -> Watched:
        terms = entries.fold(self._changes.get(model, []))
        serves = terms[-1].release.data["version"] if terms and terms[-1].until is None else None
        windows = list(self._windows.get(model, {}).values())
        return Watched(model, serves, windows, self._is_whole or model in self._read)


def _brief(entry: Entry) -> Brief:
    data, decision = entry.data, entry.data["decision"]
    return Brief(
        entry.seq,
        datetime.fromisoformat(data["since"]),
        datetime.fromisoformat(data["until"]),
        decision["action"],
        decision["because"][0] if decision["because"] else "",
        [name for name, beyond in decision["breaches"].items() if beyond],
        decision["tell"],
        data["dry_run"],
        data["watched"],
        data.get("share_drifted"),
        "share_drifted" in data,
    )


def _share(entry: Entry | None) -> float | None:
    documents = entry.data["measurements"] if entry else []
    return next((one["value"] for one in documents if one["name"] == SHARE), None)
