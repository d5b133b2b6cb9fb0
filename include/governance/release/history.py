"""What the ledger says about releases: what serves, what served then, and on whose word.

Everything is folded from the ledger each time; nothing is cached, and MLflow's alias is not asked: it says what
somebody set, the ledger says what was released. ``since`` is the moment when the release was complete (served and
smoke-tested); the scoring service's own ``served`` entries lie a few seconds before it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governance.catalog import People, find_spec
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.release import bundle
from governance.release.loading import Permitted, Wanted, load_permitted
from governance.release.registry import PERMIT_FOLDER, Registry
from governance.review import break_glass, entries, standing_approval
from governance.review.entries import Term
from governance.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True)
class Signature:
    """Who approved, in which role and when; ``name`` as people.yaml has it now."""

    person: str
    name: str
    role: str
    at: datetime


@dataclass(frozen=True)
class Live:
    """What served at a moment.

    Attributes:
        model: The model's name.
        version: Semantic version.
        registry_version: Version in MLflow's registry.
        evidence: Digest of what was signed.
        manifest: Digest of the model files.
        snapshot: Digest of the data it was trained on.
        source: Where these data came from.
        signatures: Who approved.
        permit_expires_at: When its permit ends.
        since: When its release was complete.
        until: When something else was; ``None`` while it serves.
        entry: Number of the release or rollback in the ledger.
        by: ``release`` or ``rollback``.
        break_glass: On whose word it serves although signatures are missing.
        standing_approval: On whose word, given in advance, although nobody signed its evidence.
    """

    model: str
    version: str
    registry_version: int
    evidence: str
    manifest: str
    snapshot: str
    source: str
    signatures: Sequence[Signature]
    permit_expires_at: datetime
    since: datetime
    until: datetime | None
    entry: int
    by: str = "release"
    break_glass: Json | None = None
    standing_approval: Json | None = None

    def to_dict(self) -> Json:
        """Return the JSON form."""
        signatures = [{**one.__dict__, "at": one.at.isoformat()} for one in self.signatures]
        times = {name: value.isoformat() for name, value in self.__dict__.items() if isinstance(value, datetime)}
        return {**self.__dict__, **times, "signatures": signatures}


def live(ledger: Ledger, model: str, at: datetime | None = None, people: People | None = None) -> Live | None:
    """Return what served at a moment, or ``None``.

    Args:
        ledger: The record.
        model: The model's name.
        at: The moment; now by default. A time without a zone is UTC.
        people: Whose names are shown; without them, pseudonymous ids are.

    Raises:
        UnavailableError: The ledger does not answer.
    """
    moment = at or datetime.now(UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    for term in reversed(entries.terms(ledger, model)):
        if term.since <= moment and (term.until is None or moment < term.until):
            return _live(ledger, model, term, people)
    return None


def stopped(ledger: Ledger, model: str, at: datetime | None = None) -> Entry | None:
    """Return the last stop before a moment at which nothing served, or ``None`` where there was none.

    Args:
        ledger: The record.
        model: The model's name.
        at: The moment; now by default. A time without a zone is UTC.
    """
    moment = at or datetime.now(UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return next((entry for entry in ledger.backwards("stop", model) if entry.at <= moment), None)


def permitted(
    settings: Settings, ledger: Ledger, model: str, version: str | None = None, now: datetime | None = None
) -> Permitted:
    """Fetch a version and verify it from the bytes, as the scoring service does, and against the ledger.

    Args:
        settings: Where things are.
        ledger: The record.
        model: The model's name.
        version: Semantic version; by default the one that serves.
        now: The moment that the permit must cover; this one by default.

    Raises:
        NotPermittedError: Nothing was released or permitted, or the permit does not permit.
        TamperedError: A file is not what was signed, or the permit is not the ledger's.
        UnavailableError: MLflow or the ledger does not answer.
    """
    registry_version, digest = _which(ledger, model, version)
    keys = PublicKeys.from_folder(settings.public_keys)
    with tempfile.TemporaryDirectory(prefix="permitted-") as name:
        folder = Registry(settings.require("mlflow_url")).fetch(model, registry_version, Path(name))
        if not (folder / PERMIT_FOLDER).is_dir():  # signed, but not released yet
            bundle.assemble(settings, ledger, find_spec(settings, model), digest).write(folder / PERMIT_FOLDER)
        wanted = Wanted(model, registry_version, settings.environment, now or datetime.now(UTC))
        found = load_permitted(folder, wanted, keys)
    if found.permit.evidence_digest != digest:
        raise TamperedError(
            f"Expected the permit over evidence {digest[:16]}… of {model} {registry_version}, which is the ledger's, "
            f"found one over {found.permit.evidence_digest[:16]}… in MLflow. Release this version again."
        )
    return found


def _which(ledger: Ledger, model: str, version: str | None) -> tuple[int, str]:
    if version is None:
        entry = entries.champion_entry(ledger, model)
        if entry is None:
            raise NotPermittedError(f"Expected a released version of {model}, found none. Run govern_{model}.")
        return int(entry.data["registry_version"]), str(entry.data["evidence"])
    for entry in ledger.backwards("permit", model):
        issued = entry.data["permit"]
        if issued["version"] == version:
            return int(issued["registry_version"]), str(issued["evidence"])
    raise NotPermittedError(f"Expected a permit for {model} {version} in the ledger, found none: it was not signed.")


def _live(ledger: Ledger, model: str, term: Term, people: People | None) -> Live:
    data = term.release.data
    issued = entries.permit_entry(ledger, model, data["evidence"]).data["permit"]
    return Live(
        model=model,
        version=data["version"],
        registry_version=data["registry_version"],
        evidence=data["evidence"],
        manifest=data["manifest"],
        snapshot=data["snapshot"],
        source=data["source"],
        signatures=[_signature(one["decision"], people) for one in issued["decisions"]],
        permit_expires_at=datetime.fromisoformat(data["permit_expires_at"]),
        since=term.since,
        until=term.until,
        entry=term.release.seq,
        by=term.release.kind,
        break_glass=_emergency(issued, people),
        standing_approval=_in_advance(issued, people),
    )


def _emergency(issued: Json, people: People | None) -> Json | None:
    """Return on whose word it serves although signatures are missing, why, and until which day."""
    one = break_glass.of_permit(issued)
    if one is None:
        return None
    acted = [each.decision["person"] for each in one.signatures]
    names = [people.name(person) if people else person for person in acted]
    said = {name: one.proposal[name] for name in ("reason", "until")}
    return {**said, "people": acted, "names": names, "sentence": break_glass.sentence(one, people) if people else ""}


def _in_advance(issued: Json, people: People | None) -> Json | None:
    """Return on whose word it serves although nobody signed its evidence, and until when such versions may come."""
    use = standing_approval.of_permit(issued)
    if use is None:
        return None
    said, signed = use.standing.approval, [each.decision["person"] for each in use.standing.signatures]
    return {
        "digest": use.standing.digest,
        "number": use.number,
        **{name: said[name] for name in ("releases", "reason", "until", "margins")},
        "people": signed,
        "names": [people.name(person) if people else person for person in signed],
        "sentence": standing_approval.sentence(use, people) if people else "",
    }


def _signature(decision: Json, people: People | None) -> Signature:
    person = decision["person"]
    name = people.name(person) if people else person
    return Signature(person, name, decision["role"], datetime.fromisoformat(decision["decided_at"]))
