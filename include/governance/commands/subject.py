"""The commands on one person: which snapshots and models hold them, and how their rows are erased."""

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from governance.catalog import people_of
from governance.commands.answer import NO, UNDECIDED, YES, Answer, line
from governance.commands.incidents import COMMAND_LINE
from governance.commands.records import expect_known, open_ledger
from governance.errors import InputError
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.ledger.log import Ledger
    from governance.subjects.erase import Done
    from governance.subjects.find import Found, Held, Person

Json = dict[str, Any]

STANDARD_INPUT = "-"


def find(settings: Settings, given: str, requests: list[str], model: str | None) -> Answer:
    """Answer which snapshots hold a person's rows, and which model versions were made of them.

    Args:
        settings: Where things are.
        given: The person's id; ``-`` where it stands on standard input.
        requests: Ids of requests about this person.
        model: Only this model.

    Raises:
        InputError: No id was given, or there is no such model.
    """
    from governance.subjects.find import find as look

    with closing(open_ledger(settings)) as ledger:
        found = look(settings, ledger, _person(given, requests), _models(settings, ledger, model))
    code = YES if found.held else NO if found.is_complete else UNDECIDED
    return Answer(found.to_dict(), lambda out: _show_found(out, found), code)


def erase(
    settings: Settings, given: str, requests: list[str], model: str | None, reason: str, login: str | None
) -> Answer:
    """Erase a person's rows, and answer what was done and what was not touched.

    Args:
        settings: Where things are.
        given: As of :func:`find`.
        requests: As of :func:`find`.
        model: Only this model.
        reason: Why.
        login: Who erases, as they say: the command line authenticates nobody.

    Raises:
        InputError: As :func:`find`; or this process's login may not erase, or the reason names the person.
        TamperedError: A snapshot that holds them is not what was recorded.
    """
    from governance.subjects.erase import erase as erase_rows

    actor = people_of(settings).identity(login) if login else COMMAND_LINE
    with closing(open_ledger(settings)) as ledger:
        models = _models(settings, ledger, model)
        done = erase_rows(settings, ledger, _person(given, requests), models, reason=reason, actor=actor)
    return Answer(_document(done), lambda out: _show_done(out, done), _code(done))


def finish(settings: Settings, model: str | None, unrecorded: bool) -> Answer:
    """Finish erasures that were killed, and answer how many files went.

    Args:
        settings: Where things are.
        model: Only this model.
        unrecorded: Also delete files that no record names.
    """
    from governance.subjects import erase

    with closing(open_ledger(settings)) as ledger:
        models = _models(settings, ledger, model)
        files = erase.finish(ledger, models)
        swept, young = erase.sweep(ledger, models) if unrecorded else (0, [])
    said = f"{files} files of erased rows deleted." if files else "Nothing was left of erased rows."
    if unrecorded:
        said += f" {swept} files that no record names deleted; {len(young)} are less than a day old and stay."
    document = {"deleted": files, "unrecorded_deleted": swept, "unrecorded_young": [str(path) for path in young]}
    return Answer(document, lambda out: line(out, said))


def _person(given: str, requests: list[str]) -> "Person":
    from governance.subjects.find import Person

    identity = sys.stdin.readline().strip() if given == STANDARD_INPUT else given.strip()
    if not identity:
        raise InputError("Expected the id of a person, as the column `data.subject` has it, found nothing.")
    return Person(identity, tuple(requests))


def _models(settings: Settings, ledger: "Ledger", model: str | None) -> list[str]:
    from governance.subjects.find import models_of

    if model is None:
        return models_of(ledger)
    expect_known(settings, ledger, model)
    return [model]


def _code(done: "Done") -> int:
    if not done.is_complete:
        return UNDECIDED
    return YES if done.found.held or done.entries else NO


def _document(done: "Done") -> Json:
    from governance.subjects.erase import NOT_TOUCHED

    return {
        "erased": [one.to_dict() for one in done.found.held if one.is_erasable],
        "entries": [entry.seq for entry in done.entries],
        "left": [one.to_dict() for one in done.left],
        "not_looked_through": [dict(one.__dict__) for one in done.found.unseen],
        "windows_without_request": done.found.unasked,
        "unrecorded": [str(path) for path in done.loose],
        "retrain": [{"model": model, "version": version} for model, version in done.found.to_retrain],
        "not_touched": list(NOT_TOUCHED),
    }


# --- for people ----------------------------------------------------------------------------------------------------


def _show_found(out: "Console", found: "Found") -> None:
    for one in found.held:
        _show_held(out, one)
    if not found.held:
        line(out, f"None of {found.to_dict()['looked_through']} snapshots that were looked through holds this person.")
    _show_unseen(out, found)
    for path in found.unfinished:
        line(out, f"Erased on record, and still there: {path}. Run `governance subject finish`.", style="bold red")


def _show_held(out: "Console", held: "Held") -> None:
    one = held.to_dict()
    what = "window" if one["kind"] == "window" else "snapshot"
    line(out, f"{one['model']}, {what} {one['snapshot'][:16]} of {one['frozen_at'][:16].replace('T', ' ')}: "
              f"{one['rows']} of {one['of']:,} rows.", style="bold")  # fmt: skip
    if not one["erasable"]:
        line(out, "  It was frozen before model.yaml named a subject: its rows cannot be erased one by one.")
    for use in held.uses:
        marks = [use.verdict, *(["permit"] if use.permit else []), *(["serves now"] if use.serves else [])]
        made = "trained and judged on it" if use.trained else "judged on it"
        line(out, f"  {one['model']} {use.version}, attempt {use.attempt}, {made}: {', '.join(marks)}; "
                  f"evidence {use.evidence[:16]}")  # fmt: skip


def _show_unseen(out: "Console", found: "Found") -> None:
    for one in found.unseen:
        said = "gone" if one.gone else "not looked through"
        line(out, f"{one.model}, {one.kind} {one.snapshot[:16]}: {said}. {one.why[:1].upper()}{one.why[1:]}")
    if found.unasked:
        line(out, f"{found.unasked} windows were not looked through: they know requests, so name them with --request.")


def _show_done(out: "Console", done: "Done") -> None:
    for one in (held.to_dict() for held in done.found.held if held.is_erasable):
        line(
            out, f"Erased {one['rows']} of {one['of']:,} rows of {one['model']}, {one['kind']} {one['snapshot'][:16]}."
        )
    if not done.found.held:
        line(out, "No snapshot that was looked through held this person.")
    for one in (held.to_dict() for held in done.left):
        line(out, f"{one['model']}, {one['kind']} {one['snapshot'][:16]} still holds {one['rows']} rows: it was frozen "
                  f"before model.yaml named a subject.", style="bold red")  # fmt: skip
    _show_unseen(out, done.found)
    if done.loose:
        told = f"{len(done.loose)} files that no record names may hold anybody, such as {done.loose[0]}."
        then = "Once the runs under way are over: `governance subject finish --unrecorded`."
        line(out, f"{told} {then}", style="bold red")
    _show_rest(out, done)


def _show_rest(out: "Console", done: "Done") -> None:
    from governance.subjects.erase import NOT_TOUCHED

    if retrain := done.found.to_retrain:
        named = ", ".join(f"{model} {version}" for model, version in retrain)
        line(out, f"Trained on these rows, and unchanged: {named}. Train them again without this person.")
    line(out, "Not touched:")
    for text in NOT_TOUCHED:
        line(out, f"  {text}")
