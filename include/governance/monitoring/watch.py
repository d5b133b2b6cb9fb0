"""One window of one model: what is looked at, by which policy, and what it has on record so far.

A window is named by its first moment, the first moment after it, and the cut-off until which predictions and labels
had arrived. Every record of it is keyed by these, and not by the run that made it: two monitors of one model at once, a
task that is cleared, and a day that is filled in later all find the same entries. A later cut-off makes a new record.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from governance import canonical
from governance.catalog import find_spec, people_of
from governance.errors import InputError
from governance.ledger.log import Entry, Ledger
from governance.pipeline.run import Request, Run
from governance.pipeline.unasked import MONITORING
from governance.policy import load_policy
from governance.review import entries
from governance.settings import Settings

Json = dict[str, Any]

WINDOW, WATCHED, DECIDED, REPORT = "window", "watched", "monitoring", "report"
"""Kinds of ledger entries: what was seen, what was measured of it, what was decided, where a second opinion is kept."""

LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Watch:
    """A window under watch.

    Attributes:
        run: Settings, ledger, the model's files in force; its ``run_id`` is Airflow's.
        since: First moment of the window.
        until: First moment after it.
        as_of: Cut-off: what arrived later is not seen.
    """

    run: Run
    since: datetime
    until: datetime
    as_of: datetime

    @property
    def model(self) -> str:
        """The model's name."""
        return self.run.model

    @property
    def ledger(self) -> Ledger:
        """The record."""
        return self.run.ledger

    @property
    def times(self) -> Json:
        """What names the window."""
        return {name: getattr(self, name).isoformat() for name in ("since", "until", "as_of")}

    @cached_property
    def champion(self) -> Entry | None:
        """The release that served when the window ended; ``None`` where nothing did."""
        return champion_at(self.ledger, self.model, self.until)

    @cached_property
    def evidence(self) -> Json | None:
        """What was signed of the champion."""
        if self.champion is None:
            return None
        found = entries.evidence_entry(self.ledger, self.model, self.champion.data["evidence"])
        return dict(found.data["evidence"])

    @cached_property
    def features(self) -> tuple[str, ...]:
        """What the champion reads: fewer than the spec has where an alternative does without one."""
        return tuple(candidate_of(self, self.manifest).data["features"])

    @property
    def manifest(self) -> str:
        """Digest of the champion's files; empty where nothing served."""
        return str(self.champion.data["manifest"]) if self.champion else ""

    @property
    def policy(self) -> str:
        """Digest of the policy in force."""
        return self.run.policy.digest

    def key(self, kind: str) -> str:
        """Return the key of this window's entry of a kind."""
        champion = self.champion.data["evidence"] if self.champion else None
        which = {**self.times, "champion": champion}
        return f"{kind}:{self.model}:{canonical.digest(which)[:24]}"

    def entry(self, kind: str) -> Entry | None:
        """Return this window's entry of a kind, if there is one."""
        return self.ledger.get(self.key(kind))

    def need(self, kind: str) -> Entry:
        """Return this window's entry of a kind.

        Raises:
            InputError: The step that records it has not run.
        """
        found = self.entry(kind)
        if found is None:
            raise InputError(f"Expected {kind} of this window in the ledger, found none: clear the task before.")
        return found

    def record(self, kind: str, data: Json) -> Entry:
        """Append this window's entry of a kind, or return the one that is there."""
        whole = {**self.times, "run_id": self.run.run_id, **data}
        return self.ledger.append(kind, self.model, whole, actor=self.run.request.started_by, key=self.key(kind))


def open_watch(
    settings: Settings, ledger: Ledger, model: str, run_id: str, window: tuple[datetime, datetime, datetime]
) -> Watch:
    """Open a window.

    Args:
        settings: Where things are.
        ledger: The record.
        model: The model's name.
        run_id: Of the Airflow run that looks at it.
        window: Since, until and as of, with time zones.

    Raises:
        InputError: The times are not in order, or the window is longer than a year.
    """
    since, until, as_of = window
    if any(moment.tzinfo is None for moment in window) or not since < until <= as_of or until - since > LONGEST:
        told = ", ".join(moment.isoformat() for moment in window)
        raise InputError(
            f"Expected a window of at most a year, with time zones, and a cut-off not before its end (since < until <= "
            f"as_of), found {told}. Correct the run's configuration."
        )
    spec, people = find_spec(settings, model), people_of(settings)
    policy = load_policy(settings.models / model, settings.policies)
    request = Request("Monitoring", {}, None, "patch", MONITORING)
    return Watch(Run(settings, ledger, spec, policy, people, run_id, request), since, until, as_of)


def champion_at(ledger: Ledger, model: str, moment: datetime) -> Entry | None:
    """Return the release that served at a moment; ``None`` where nothing did."""
    for term in reversed(entries.terms(ledger, model)):
        if term.since <= moment and (term.until is None or moment < term.until):
            return term.release
    return None


def candidate_of(watch: Watch, manifest: str) -> Entry:
    """Return the entry of a version's files.

    Raises:
        InputError: The ledger has none.
    """
    for entry in watch.ledger.backwards("candidate", watch.model):
        if entry.data["manifest"] == manifest:
            return entry
    raise InputError(
        f"Expected the candidate with manifest {manifest[:16]}… of {watch.model} in the ledger, found none."
    )
