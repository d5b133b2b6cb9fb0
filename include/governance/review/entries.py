"""What was judged, permitted and released, as the ledger has it: evidence, its permit, and who served when.

Nothing is cached, and MLflow's alias is not asked: it says what somebody set, the ledger says what was released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.errors import NotPermittedError
from governance.ledger.log import Entry, Ledger


@dataclass(frozen=True)
class Term:
    """One stretch of time in which one release served: from its entry to the one that ended it."""

    release: Entry
    since: datetime
    until: datetime | None = None


def terms(ledger: Ledger, model: str) -> list[Term]:
    """Return the stretches in which each version of a model served, oldest first."""
    return fold([*ledger.find(kind="release", subject=model), *ledger.find(kind="revert", subject=model)])


def fold(changes: Sequence[Entry]) -> list[Term]:
    """Fold releases and reverts, in any order, into the stretches in which each version served, oldest first."""
    found: list[Term] = []
    for entry in sorted(changes, key=lambda change: change.seq):
        following = _after(found, entry)
        current = found[-1].release if found and found[-1].until is None else None
        if following is current:
            continue
        if current is not None:
            found[-1] = Term(current, found[-1].since, entry.at)
        if following is not None:
            found.append(Term(following, entry.at))
    return found


def champion_entry(ledger: Ledger, model: str) -> Entry | None:
    """Return the release that serves now, as the ledger has it."""
    found = terms(ledger, model)
    return found[-1].release if found and found[-1].until is None else None


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
    """Return the release that serves after this entry."""
    current = found[-1].release if found and found[-1].until is None else None
    if entry.kind == "release":
        return entry
    if current is None or current.data["evidence"] != entry.data["evidence"]:
        return current  # the attempt failed before it was ever the recorded champion
    previous: Mapping[str, Any] | None = entry.data["previous"]
    earlier = [term.release for term in found if previous and term.release.data["evidence"] == previous["evidence"]]
    return earlier[-1] if earlier else None
