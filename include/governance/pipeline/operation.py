"""One run of ``rollback_<model>``: what was asked, by whom, and what served then.

Beside :mod:`governance.pipeline.run`, which is a run that makes a new version. What was asked is fixed in the ledger
when the run's first task begins (:func:`governance.release.rollback.begin`); an edited configuration changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.catalog import ModelSpec, People, find_spec, people_of
from governance.errors import InputError
from governance.ledger.log import Entry, Ledger
from governance.pipeline.unasked import MONITORING
from governance.release import rollback
from governance.settings import Settings

Json = dict[str, Any]

REQUEST_KEYS = ("reason", "to", "decision")


@dataclass(frozen=True)
class Operation:
    """A rollback that was asked for.

    Attributes:
        settings: Where things are.
        ledger: The record.
        spec: The model.
        people: Who is who.
        run_id: Airflow's id of the run, or another unique name.
        asked: The entry that says what was asked for, and what served then.
    """

    settings: Settings
    ledger: Ledger
    spec: ModelSpec
    people: People
    run_id: str
    asked: Entry

    @property
    def model(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def key(self) -> str:
        """What makes it the same rollback."""
        return key_of(self.model, self.run_id)

    def record(self, kind: str, data: Json, key: str) -> Entry:
        """Append an entry, or return the one that this key already has."""
        return self.ledger.append(kind, self.model, {"run_id": self.run_id, **data}, actor=self.asked.actor, key=key)


def key_of(model: str, run_id: str) -> str:
    """Return the key under which a run's rollback stands in the ledger."""
    return f"{model}:{run_id}"


def open_operation(
    settings: Settings,
    ledger: Ledger,
    model: str,
    run_id: str,
    asked: Mapping[str, Any],
    started_by: str | None,
    asked_at: datetime | None = None,
) -> Operation:
    """Begin a rollback, or find it again.

    Args:
        settings: Where things are.
        ledger: The record.
        model: The model's name.
        run_id: A name of the run that is unique for the model.
        asked: ``reason`` (required), ``to`` (a version), ``decision`` (a key of the ledger); anything else is refused.
        started_by: The login of who triggered it.
        asked_at: When it was triggered.

    Raises:
        InputError: The request is not right, or nobody is known to have started it.
        RefusedError: Another version serves than the one that the decision is about, or than when it was triggered.
    """
    spec, people = find_spec(settings, model), people_of(settings)
    entry = ledger.get(f"operation:{key_of(model, run_id)}")
    if entry is None:
        unknown = sorted(set(asked) - set(REQUEST_KEYS))
        if unknown:
            known = ", ".join(REQUEST_KEYS)
            raise InputError(f"Unknown key {unknown[0]!r} in the run's configuration. Known: {known}.")
        decision = asked.get("decision") or None
        entry = rollback.begin(
            ledger,
            model=model,
            actor=_actor(people, started_by, decision),
            reason=str(asked.get("reason") or ""),
            key=key_of(model, run_id),
            to=asked.get("to") or None,
            decision=decision,
            asked_at=asked_at,
        )
    return Operation(settings, ledger, spec, people, run_id, entry)


def _actor(people: People, started_by: str | None, decision: str | None) -> str:
    person = people.by_login(started_by) if started_by else None
    if person is not None:
        return person.id
    if decision is not None:
        return MONITORING
    if started_by:
        return people.identity(started_by)
    raise InputError("Expected a person who started this rollback, found none: trigger it by hand, logged in.")
