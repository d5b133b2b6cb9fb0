"""Erase one person's rows from every snapshot that holds them, and tell what else may hold them.

A run that was killed may have left files that no entry of the ledger names: a snapshot that was never recorded, or a
file that an erasure wrote and did not come to use. They may hold the person, too. They are told, and deleted only where
somebody asks for it (:func:`sweep`): what this ledger does not name, another one that shares the folder might.

Not guaranteed: that a run which freezes at this very moment takes the person along no more; its source does not know.
Whoever looks once more afterwards finds it. In a bucket, files that no record names are left to its own rules.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance.data import erasures, snapshots
from governance.errors import InputError, UnavailableError
from governance.ledger.hashes import RIGHTS
from governance.ledger.log import Entry, Ledger
from governance.settings import Settings
from governance.subjects.find import Found, Frozen, Held, Person, find, frozen_of

Json = dict[str, Any]

SETTLED = 24 * 60 * 60
"""Seconds. What no record names after a day, none will name: a run records what it froze in its next step."""

SHORTEST_REASON = 10

NOT_TOUCHED = (
    "The prediction log: its rows go by retention alone (docs/predictions.md), and labels that arrived with them.",
    "MLflow: the answers that versions were judged by (label and score by position), and pages of failing rows.",
    "Measurements and verdicts in the ledger: they are of all rows together.",
    "The source: as long as it holds the person, the next run freezes them again. Remove them there first.",
    "Backups, a bucket's old versions, and what a disk keeps of deleted files.",
)
"""What an erasure leaves alone, for whoever answers the person."""


@dataclass(frozen=True)
class Done:
    """What an erasure did.

    Attributes:
        found: What was found before.
        entries: The ledger's entries that it wrote.
        left: Snapshots that still hold rows of the person, for they were not committed to one by one.
        loose: Files that no record names: of runs under way, or of killed ones.
    """

    found: Found
    entries: Sequence[Entry]
    left: Sequence[Held]
    loose: Sequence[Path]

    @property
    def is_complete(self) -> bool:
        """Whether nothing that can be looked through holds the person any more."""
        return not self.left and not self.loose and self.found.is_complete


def expect_may_erase(ledger: Ledger) -> None:
    """Refuse a login that could not record an erasure, before anything is written.

    Raises:
        InputError: It is such a login.
    """
    able = [login for login, kinds in RIGHTS.items() if erasures.KIND in kinds]
    if ledger.login not in able:
        raise InputError(
            f"Expected the ledger's login {' or '.join(able)} in GOVERNANCE_LEDGER_URL, for an erasure is recorded "
            f"before anything is deleted; found {ledger.login}, which may not. Erase where the pipeline runs."
        )


def erase(
    settings: Settings, ledger: Ledger, person: Person, models: Iterable[str], *, reason: str, actor: str
) -> Done:
    """Erase a person's rows from every snapshot of some models. Killed anywhere, it is run again.

    Args:
        settings: Where things are.
        ledger: The record.
        person: Whose rows.
        models: Of which models.
        reason: Why, in words that name nobody: it stays in the ledger.
        actor: On whose word.

    Raises:
        InputError: The login may not erase, or the reason says nothing, or names the person.
        TamperedError: A snapshot that holds the person is not what was recorded: nothing is written over that.
        UnavailableError: The ledger or the storage does not answer. Run it again.
    """
    expect_may_erase(ledger)
    _expect_reason(person, reason)
    names = list(models)
    found = find(settings, ledger, person, names)
    wrote = [
        entry
        for one in found.held
        if one.is_erasable
        for entry in erasures.erase(ledger, one.frozen.model, one.frozen.snapshot, one.rows, reason=reason, actor=actor)
    ]
    finish(ledger, names)
    left = [one for one in found.held if not one.is_erasable]
    return Done(found, wrote, left, unrecorded(ledger, names))


def finish(ledger: Ledger, models: Iterable[str]) -> int:
    """Delete the files of rows whose erasure is on record and that are still there; return how many.

    Raises:
        UnavailableError: One cannot be deleted. Try again.
    """
    return sum(erasures.finish(one.snapshot) for model in models for one in frozen_of(ledger, model))


def unrecorded(ledger: Ledger, models: Iterable[str]) -> list[Path]:
    """Return the files beside snapshots of these models that no record names; none of those in a bucket."""
    known = [one for model in models for one in frozen_of(ledger, model)]
    named = {path for one in known for path in _named(one)}
    folders = {Path(part.uri) for one in known if one.snapshot.subject for part in one.snapshot.parts.values()}
    found = (path for folder in sorted(folders) if folder.is_dir() for path in sorted(folder.glob("*.parquet")))
    return [path for path in found if str(path) not in named]


def sweep(ledger: Ledger, models: Iterable[str]) -> tuple[int, list[Path]]:
    """Delete the files that no record names; return how many, and those that a run under way may yet record.

    Raises:
        InputError: This login cannot have written them.
        UnavailableError: One cannot be deleted. Try again.
    """
    expect_may_erase(ledger)
    settled, deleted, young = time.time() - SETTLED, 0, []
    for path in unrecorded(ledger, models):
        try:
            if path.stat().st_mtime > settled:
                young.append(path)
            else:
                path.unlink()
                deleted += 1
        except FileNotFoundError:
            continue  # somebody else was first
        except OSError as error:
            raise UnavailableError(f"{path} cannot be deleted: {error}. Try again.") from error
    return deleted, young


def _named(frozen: Frozen) -> Iterator[str]:
    for name, part in frozen.snapshot.parts.items():
        yield from (f"{part.uri}/{file.path}" for file in part.files)
        yield from (f"{part.uri}/{file.path}" for file in snapshots.current_files(frozen.snapshot, name))


def _expect_reason(person: Person, reason: str) -> None:
    if len(reason.strip()) < SHORTEST_REASON:
        raise InputError(f"Expected a reason of {SHORTEST_REASON} letters or more, found {reason!r}: auditors read it.")
    words = [re.escape(word.casefold()) for word in (person.id, *person.requests)]
    if re.search(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", reason.casefold()):
        raise InputError(
            "Expected a reason that names nobody, found the person's id in it: it stays in the ledger for good. Write "
            "the number of the request instead."
        )
