"""The command that takes a model out of service: ``stop``."""

import secrets
from typing import TYPE_CHECKING, Any

from governance.catalog import people_of
from governance.commands.answer import Answer, line
from governance.commands.records import expect_known, open_ledger
from governance.errors import UnavailableError
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.release.stop import StopOutcome

COMMAND_LINE = "command-line"
"""The actor where nobody says who stops it; whoever has the ledger's login on this machine may."""


def stop(settings: Settings, model: str, reason: str, login: str | None) -> Answer:
    """Take a model out of service, open an incident, and answer what was confirmed.

    Args:
        settings: Where things are.
        model: The model's name.
        reason: Why.
        login: Who stops it, as they say: the command line authenticates nobody.
    """
    from governance.release import stop as stopping
    from governance.review import incidents

    ledger = open_ledger(settings)
    expect_known(settings, ledger, model)
    actor = people_of(settings).identity(login) if login else COMMAND_LINE
    key = f"{model}:{secrets.token_hex(8)}"
    done = stopping.stop(settings, ledger, model=model, actor=actor, reason=reason, key=key)
    change = ledger.get(done.entry)
    if change is None:
        raise UnavailableError(f"Expected the entry {done.entry} in the ledger, found none. Stop it again.")
    opened = incidents.open_incident(ledger, change, actor=actor)
    document = _document(done, incidents.id_of(opened))
    return Answer(document, lambda out: _show(out, done), 0 if done.confirmed else UnavailableError.exit_code)


def _document(done: "StopOutcome", incident: str) -> dict[str, Any]:
    return {**done.__dict__, "problems": list(done.problems), "incident": incident}


def _show(out: "Console", done: "StopOutcome") -> None:
    line(out, done.reason, style="bold")
    for problem in done.problems:
        line(out, problem, style="bold red")
    if done.confirmed:
        line(out, "The scoring service serves it no more. Only a release or a rollback brings it back.")
    line(
        out,
        f"An incident is open: review it on the page of {done.model}'s incidents. Nobody was told: tell them.",
    )
