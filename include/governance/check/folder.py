"""Read what can be read of a folder, collect its faults, and ask each question that the rest allows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from governance import policyfile, yamlfile
from governance.catalog import ModelSpec, People, load_people, load_spec
from governance.check import columns, files, roles, rules, spec, undecided
from governance.errors import InputError
from governance.policyfile import PolicyFile, TierFile
from governance.settings import Settings
from governance.yamlfile import Document, Fault, FaultyFileError

Read = TypeVar("Read")


@dataclass(frozen=True)
class Findings:
    """What was found in one folder.

    Attributes:
        model: The folder's name.
        faults: What is wrong, by file and line.
        notes: What is right, but good to know.
    """

    model: str
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "model": self.model,
            "ok": not self.faults,
            "faults": [fault.to_dict() for fault in self.faults],
            "notes": [note.to_dict() for note in self.notes],
        }


@dataclass(frozen=True)
class Parts:
    """What could be read; ``None`` for what has faults of its own."""

    spec: ModelSpec | None
    people: People | None
    own: Document[PolicyFile] | None
    tier: Document[TierFile] | None


def check_model(settings: Settings, name: str, *, data: bool = False, contract: bool = False) -> list[Fault]:
    """Return everything that is wrong with a model's folder.

    Args:
        settings: Where the folder, the policies and the people are.
        name: The model's name.
        data: Also read the data source and look for the columns that the folder names.
        contract: Also run the contract on these data, which takes seconds.

    Raises:
        InputError: There is no such folder.
    """
    return list(examine(settings, name, data=data, contract=contract).faults)


def examine(settings: Settings, name: str, *, data: bool = False, contract: bool = False) -> Findings:
    """Return faults and notes of a model's folder; arguments and errors as :func:`check_model`."""
    folder = settings.models / name
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in settings.models.glob("*/"))) or "none"
        raise InputError(f"Expected a model folder {folder}, found none. Known models: {known}.")
    found: list[Fault] = []
    parts = _read(settings, folder, found)
    found += _questions(folder, parts)
    notes: list[Fault] = []
    if parts.spec and parts.people and parts.own and parts.tier:
        notes += roles.notes(parts.spec, parts.people, parts.own, parts.tier)
    notes += undecided.notes(folder)
    if data and parts.spec:
        missing, unmentioned = columns.compare(parts.spec, _personal_data(parts), contract=contract)
        found, notes = found + missing, notes + unmentioned
    return Findings(name, _in_order(settings, found), _in_order(settings, notes))


def _personal_data(parts: Parts) -> str | None:
    own, tier = parts.own, parts.tier
    return (own.content.personal_data or tier.content.personal_data) if own and tier else None


def stray_folders(settings: Settings) -> list[str]:
    """Return folders beside the models that hold no ``model.yaml``, and so are not governed."""
    folders = (path for path in settings.models.glob("*/") if not path.name.startswith((".", "__")))
    return sorted(path.name for path in folders if not (path / "model.yaml").is_file())


def _read(settings: Settings, folder: Path, found: list[Fault]) -> Parts:
    own = _collect(found, lambda: yamlfile.read(folder / "policy.yaml", PolicyFile))
    tier = None
    if own:
        tier_file = settings.policies / f"{own.content.extends}.yaml"
        tier = _collect(found, lambda: yamlfile.read(tier_file, TierFile))
    return Parts(
        spec=_collect(found, lambda: load_spec(folder)),
        people=_collect(found, lambda: load_people(settings.people)),
        own=own,
        tier=tier,
    )


def _collect(found: list[Fault], read: Callable[[], Read]) -> Read | None:
    try:
        return read()
    except FaultyFileError as error:
        found += error.faults
        return None


def _questions(folder: Path, parts: Parts) -> Iterator[Fault]:
    if parts.spec is None or parts.spec.trained == "here":
        yield from files.train(folder)
    yield from files.drift(folder)
    yield from files.embedding(folder)
    if parts.spec:
        yield from files.contract(parts.spec)
        yield from spec.faults(parts.spec)
    if parts.spec and parts.people:
        yield from spec.people(parts.spec, parts.people)
    if parts.own and parts.tier:
        yield from policyfile.faults(parts.own, parts.tier)
        yield from rules.faults(parts.own, parts.tier)
        yield from rules.code(parts.own, parts.tier)
        yield from rules.grants(parts.own, parts.tier)
        yield from rules.incidents(parts.tier)
        yield from rules.kept(parts.own, parts.tier)
    if parts.own and parts.tier and parts.spec:
        yield from rules.of_another(parts.own, parts.spec)
        yield from rules.without_attributes(parts.own, parts.tier, parts.spec)
    if parts.own and parts.tier and parts.people:
        yield from roles.faults(parts.own, parts.tier, parts.people, parts.spec)


def _in_order(settings: Settings, faults: list[Fault]) -> tuple[Fault, ...]:
    """Sort by file and line, with paths as people type them: relative to the checkout."""
    once = dict.fromkeys(faults)
    named = [replace(fault, file=_relative(settings, fault.file)) for fault in once]
    return tuple(sorted(named, key=lambda fault: (str(fault.file), fault.line)))


def _relative(settings: Settings, path: Path) -> Path:
    return path.relative_to(settings.root) if path.is_relative_to(settings.root) else path
