"""What was judged, permitted and released, as the ledger has it: evidence, its permit, and who served when.

Four kinds of entries change what serves: ``release`` and ``rollback`` bring a version into service, ``revert`` takes
back a release that failed, ``stop`` takes the model out of service. After a stop, ``resume`` says which version the
scoring service may load before its release or rollback is complete; it changes nothing by itself.

Nothing is cached, and MLflow's alias is not asked: it says what somebody set, the ledger says what was released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.errors import NotPermittedError
from governance.ledger.log import Entry, Ledger

BRINGS = ("release", "rollback")
"""Kinds of entries that bring a version into service."""

CHANGES = (*BRINGS, "revert", "stop")
"""Kinds of entries that change what serves."""


@dataclass(frozen=True)
class Term:
    """One stretch of time in which one version served: from the entry that began it to the one that ended it.

    Attributes:
        release: The ``release`` or ``rollback`` that brought the version into service.
        since: When it began.
        until: When it ended; ``None`` while it lasts.
        ended_by: The entry that ended it.
    """

    release: Entry
    since: datetime
    until: datetime | None = None
    ended_by: Entry | None = None

    @property
    def evidence(self) -> str:
        """Digest of what served."""
        return str(self.release.data["evidence"])


@dataclass(frozen=True)
class Halt:
    """A model that was stopped and has not been brought back.

    Attributes:
        stop: The entry that stopped it.
        lifted: Digests of evidence that may be loaded again, because a release or rollback of them is under way.
    """

    stop: Entry
    lifted: frozenset[str] = frozenset()

    @property
    def sentence(self) -> str:
        """Why nothing serves, for whoever asks."""
        return stopped_sentence(self.stop.subject, self.stop.at, self.stop.data["reason"])


def stopped_sentence(model: str, at: datetime, reason: str) -> str:
    """Say that a model was stopped, when, why, and what brings it back."""
    return (
        f"{model} was stopped on {at:%d %b %Y %H:%M} UTC: {reason.rstrip('.')}. It serves again after a release or a "
        f"rollback (rollback_{model}), and not before."
    )


def changes(ledger: Ledger, model: str, before: int | None = None) -> list[Entry]:
    """Return the entries that changed what serves, oldest first.

    Args:
        ledger: The record.
        model: The model's name.
        before: Only entries with a lower number.
    """
    found = [entry for kind in CHANGES for entry in ledger.find(kind=kind, subject=model)]
    return sorted((one for one in found if before is None or one.seq < before), key=lambda one: one.seq)


def terms(ledger: Ledger, model: str, before: int | None = None) -> list[Term]:
    """Return the stretches in which each version of a model served, oldest first; see :func:`changes`."""
    return fold(changes(ledger, model, before))


def fold(changes: Sequence[Entry]) -> list[Term]:
    """Fold the entries that changed what serves, in any order, into the stretches in which each version served."""
    found: list[Term] = []
    for entry in sorted(changes, key=lambda change: change.seq):
        following, current = _after(found, entry), serving(found)
        if following is current:
            continue
        if current is not None:
            found[-1] = Term(current, found[-1].since, entry.at, entry)
        if following is not None:
            found.append(Term(following, entry.at))
    return found


def serving(found: Sequence[Term]) -> Entry | None:
    """Return what serves at the end of these stretches."""
    return found[-1].release if found and found[-1].until is None else None


def champion_entry(ledger: Ledger, model: str) -> Entry | None:
    """Return the release or rollback that serves now, as the ledger has it."""
    return serving(terms(ledger, model))


def last_served(ledger: Ledger, model: str) -> Entry | None:
    """Return what serves now or, where the model was stopped, served last: whose code people have signed for."""
    found = terms(ledger, model)
    return found[-1].release if found and _ended_by(found[-1]) in (None, "stop") else None


def withdrawn(found: Sequence[Term]) -> dict[str, str]:
    """Return the versions that were taken out of service for a cause: evidence → kind of the entry that did.

    What counts is how a version's last stretch ended. One that another release followed was not withdrawn.
    """
    last = {term.evidence: _ended_by(term) for term in found}
    return {evidence: kind for evidence, kind in last.items() if kind in ("rollback", "revert", "stop")}


def halt_of(ledger: Ledger, model: str) -> Halt | None:
    """Return the stop that is in force; ``None`` where the model was never stopped, or was brought back."""
    stop = next(iter(ledger.backwards("stop", model)), None)
    if stop is None:
        return None
    kinds = (*BRINGS, "resume", "revert")
    later = [entry for kind in kinds for entry in ledger.find(kind=kind, subject=model, after=stop.seq)]
    return halt_after(stop, later)


def halt_after(stop: Entry, later: Sequence[Entry]) -> Halt | None:
    """Say what is left of a stop after what followed it."""
    lifted: set[str] = set()
    brought: str | None = None
    for entry in sorted(later, key=lambda one: one.seq):
        evidence = str(entry.data["evidence"])
        if entry.kind in BRINGS:
            brought = evidence
        elif entry.kind == "resume":
            lifted.add(evidence)
        elif brought is None or (brought == evidence and entry.data["previous"] is None):
            brought = None  # taken back: nothing serves, as the stop demanded
            lifted.discard(evidence)
    return None if brought else Halt(stop, frozenset(lifted))


def expect_not_revoked(ledger: Ledger, model: str, digest: str) -> None:
    """Refuse an evidence whose permit was revoked.

    Raises:
        NotPermittedError: An entry ``revocation`` names it.
    """
    for entry in ledger.find(kind="revocation", subject=model):
        if entry.data.get("evidence") == digest:
            raise NotPermittedError(
                f"Expected a permit of {model} over evidence {digest[:16]}… in force, found it revoked in entry "
                f"{entry.seq} of the ledger. Run govern_{model} and have the new evidence signed."
            )


def evidence_entry(ledger: Ledger, model: str, digest: str) -> Entry:
    """Return the entry of an evidence.

    Raises:
        NotPermittedError: There is none.
    """
    for entry in ledger.backwards("evidence", model):
        if entry.data["digest"] == digest:
            return entry
    raise NotPermittedError(
        f"Expected evidence {digest[:16]}… of {model} in the ledger, found none: only what was judged can be released. "
        f"Run govern_{model}."
    )


def permit_entry(ledger: Ledger, model: str, digest: str) -> Entry:
    """Return the entry of the permit over an evidence.

    Raises:
        NotPermittedError: There is none.
    """
    entry = ledger.get(f"permit:{digest}")
    if entry is None or (entry.kind, entry.subject) != ("permit", model):
        raise NotPermittedError(
            f"Expected a permit for {model} over evidence {digest[:16]}… in the ledger, found none. Those who must "
            f"sign do so on the review page; marking the approval task as successful permits nothing."
        )
    return entry


def _after(found: Sequence[Term], entry: Entry) -> Entry | None:
    """Return the release or rollback that serves after this entry."""
    current = serving(found)
    if entry.kind in BRINGS:
        return entry
    if entry.kind == "stop":
        return None
    if current is None or current.data["evidence"] != entry.data["evidence"]:
        return current  # the attempt failed before it was ever the recorded champion
    previous: Mapping[str, Any] | None = entry.data["previous"]
    earlier = [term.release for term in found if previous and term.evidence == previous["evidence"]]
    return earlier[-1] if earlier else None


def _ended_by(term: Term) -> str | None:
    return term.ended_by.kind if term.ended_by else None
