"""Which snapshots hold a person's rows, and which model versions were made of them or judged on them.

The ledger names every snapshot that counts. Training snapshots say whom a row is about in the column that
``model.yaml`` names as ``data.subject``. Windows are frozen from the prediction log, which knows the request and
nobody's identity: they are looked through by request ids.

What cannot be looked through is told, never passed over: snapshots that were frozen before a subject was named, rows
that were let go, files that are not what was recorded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from governance.catalog import ModelSpec, find_spec
from governance.data import snapshots
from governance.data.erasures import as_it_is, as_kept, column
from governance.data.snapshots import Snapshot
from governance.errors import GovernanceError, TamperedError
from governance.ledger.log import Entry, Ledger
from governance.monitoring.collect import REQUEST
from governance.monitoring.gone import let_go_of, sentence_of
from governance.monitoring.watch import WINDOW
from governance.review import entries
from governance.settings import Settings

Json = dict[str, Any]

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Person:
    """Whom to look for.

    Attributes:
        id: The value of the subject column.
        requests: Ids of requests that were about this person.
    """

    id: str
    requests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Use:
    """A model version that was judged on a snapshot, and mostly trained on it.

    Attributes:
        version: Its semantic version.
        attempt: Which candidate of its run.
        registry_version: Its number in MLflow's registry.
        evidence: Digest of its evidence.
        verdict: What came of it.
        trained: Whether it was trained on these rows; one that was trained elsewhere was only judged on them.
        permit: Whether a permit was issued.
        serves: Whether it serves now.
    """

    version: str
    attempt: int
    registry_version: int
    evidence: str
    verdict: str
    trained: bool
    permit: bool
    serves: bool


@dataclass(frozen=True)
class Frozen:
    """A snapshot that the ledger names, training data or a window.

    Attributes:
        model: Whose it is.
        kind: ``snapshot`` or ``window``.
        snapshot: The record, with what was erased.
        entry: An entry that names it.
    """

    model: str
    kind: str
    snapshot: Snapshot
    entry: Entry


@dataclass(frozen=True)
class Held:
    """A snapshot that holds rows of the person."""

    frozen: Frozen
    rows: tuple[int, ...]
    uses: tuple[Use, ...]

    @property
    def is_erasable(self) -> bool:
        """Whether its rows were committed to one by one."""
        return self.frozen.snapshot.subject is not None

    def to_dict(self) -> Json:
        """Return the JSON form."""
        snapshot, entry = self.frozen.snapshot, self.frozen.entry
        return {
            "model": self.frozen.model,
            "kind": self.frozen.kind,
            "snapshot": snapshot.digest,
            "frozen_at": entry.at.isoformat(),
            "until": entry.data.get("until"),
            "rows": len(self.rows),
            "of": snapshot.rows,
            "erased_before": len(snapshot.missing),
            "erasable": self.is_erasable,
            "versions": [dict(one.__dict__) for one in self.uses],
        }


@dataclass(frozen=True)
class Unseen:
    """A snapshot that could not be looked through; ``gone`` where its rows were let go, so that it holds nobody's."""

    model: str
    kind: str
    snapshot: str
    why: str
    gone: bool = False


@dataclass(frozen=True)
class Found:
    """The answer.

    Attributes:
        known: Every snapshot that the ledger names.
        held: Those with rows of the person.
        unseen: Those that could not be looked through.
        unasked: How many windows were not looked through because no request was named.
        unfinished: Files of rows whose erasure is on record and that are still there, whoever they were about.
    """

    known: Sequence[Frozen]
    held: Sequence[Held]
    unseen: Sequence[Unseen]
    unasked: int
    unfinished: Sequence[str]

    @property
    def is_complete(self) -> bool:
        """Whether every snapshot that was to be looked through was."""
        return all(one.gone for one in self.unseen)

    @property
    def to_retrain(self) -> list[tuple[str, str]]:
        """Model and version of everything that was trained on the person's rows and has a permit or serves."""
        uses = ((one.frozen.model, use) for one in self.held for use in one.uses if use.trained)
        return sorted({(model, use.version) for model, use in uses if use.permit or use.serves})

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {
            "held": [one.to_dict() for one in self.held],
            "not_looked_through": [dict(one.__dict__) for one in self.unseen],
            "windows_without_request": self.unasked,
            "unfinished": list(self.unfinished),
            "looked_through": len(self.known) - len(self.unseen) - self.unasked,
        }


def find(settings: Settings, ledger: Ledger, person: Person, models: Iterable[str]) -> Found:
    """Look through every recorded snapshot of some models.

    Raises:
        UnavailableError: The ledger or the storage does not answer.
    """
    known = [one for model in models for one in frozen_of(ledger, model)]
    asked = [one for one in known if one.kind != WINDOW or person.requests]
    specs = {model: _spec_of(settings, model) for model in {one.model for one in known}}
    looked = [found for one in asked if (found := _look(ledger, person, one, specs[one.model])) is not None]
    return Found(
        known=known,
        held=[one for one in looked if isinstance(one, Held)],
        unseen=[one for one in looked if isinstance(one, Unseen)],
        unasked=len(known) - len(asked),
        unfinished=[path for one in known for path in snapshots.leftovers(one.snapshot)],
    )


def models_of(ledger: Ledger) -> list[str]:
    """Return every model that has frozen something, by name."""
    return sorted({*ledger.subjects(SNAPSHOT), *ledger.subjects(WINDOW)})


def frozen_of(ledger: Ledger, model: str) -> Iterator[Frozen]:
    """Yield every snapshot of a model that the ledger names, once each, as the last entry that names it has it."""
    for kind in (SNAPSHOT, WINDOW):
        entries_of = [entry for entry in ledger.find(kind, model) if entry.data["snapshot"]]
        for entry in {entry.data["snapshot"]["digest"]: entry for entry in entries_of}.values():
            yield Frozen(model, kind, as_kept(ledger, model, entry.data["snapshot"]), entry)


def _spec_of(settings: Settings, model: str) -> ModelSpec | None:
    """Return what ``model.yaml`` says today; ``None`` of a model without a folder, or with one that cannot be read."""
    try:
        return find_spec(settings, model)
    except GovernanceError:
        return None


def _look(ledger: Ledger, person: Person, frozen: Frozen, spec: ModelSpec | None) -> Held | Unseen | None:
    """Return what a snapshot holds of a person, or why that cannot be told; ``None`` where it holds nothing."""
    model, kind, digest = frozen.model, frozen.kind, frozen.snapshot.digest
    name = REQUEST if kind == WINDOW else frozen.snapshot.subject or (spec.data.subject if spec else None)
    if name is None and spec is not None and spec.no_persons:
        return None
    if name is None and spec is not None:
        return Unseen(
            model, kind, digest, "model.yaml names no `subject` under `data`, so nobody knows whose rows it has"
        )
    if name not in [column.name for column in frozen.snapshot.columns]:
        return Unseen(model, kind, digest, "it was frozen before model.yaml named a `subject` under `data`")
    try:
        rows = _rows(ledger, frozen, name, set(person.requests) if kind == WINDOW else {person.id})
    except TamperedError as error:
        went = let_go_of(ledger, frozen.entry) if kind == WINDOW else None
        return Unseen(model, kind, digest, sentence_of(went) if went else str(error), gone=went is not None)
    return Held(frozen, rows, tuple(_uses(ledger, frozen))) if rows else None


def _rows(ledger: Ledger, frozen: Frozen, name: str, wanted: set[str]) -> tuple[int, ...]:
    document = frozen.snapshot.to_dict()
    positions, values = as_it_is(ledger, frozen.model, document, lambda now: column(now, name))
    return tuple(at for at, value in zip(positions, values, strict=True) if _text(value) in wanted)


def _text(value: Any) -> str | None:
    """Return an identifier as people write it: a number without the point that one missing value gives all of them."""
    if isinstance(value, float):
        return str(int(value)) if value == value and value.is_integer() else None
    return None if value is None else str(value)


def _uses(ledger: Ledger, frozen: Frozen) -> Iterator[Use]:
    if frozen.kind == WINDOW:
        return
    serving = entries.champion_entry(ledger, frozen.model)
    for entry in ledger.find("evidence", frozen.model):
        document, digest = entry.data["evidence"], entry.data["digest"]
        if document["data"]["snapshot"] == frozen.snapshot.digest:
            yield Use(
                version=document["model"]["version"],
                attempt=document["model"]["attempt"],
                registry_version=document["model"]["registry_version"],
                evidence=digest,
                verdict=document["verdict"]["outcome"],
                trained=document["training"].get("trained", "here") == "here",
                permit=ledger.get(f"permit:{digest}") is not None,
                serves=serving is not None and serving.data["evidence"] == digest,
            )
