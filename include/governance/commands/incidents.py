"""The commands for when a version must not serve: ``stop``, and ``drill``, which tries the way back beforehand."""

import secrets
from typing import TYPE_CHECKING, Any

from governance.catalog import model_folders, people_of
from governance.commands.answer import NO, YES, Answer, line
from governance.commands.records import expect_known, open_ledger
from governance.errors import InputError, UnavailableError
from governance.ledger.hashes import RIGHTS
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.ledger.log import Ledger
    from governance.release.drill import DrillOutcome
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

    Raises:
        RefusedError: Nothing of it serves.
    """
    from governance.release import stop as stopping
    from governance.review import incidents

    ledger = open_ledger(settings)
    expect_known(settings, ledger, model)
    actor = people_of(settings).identity(login) if login else COMMAND_LINE
    stopping.expect_serving(settings, ledger, model)
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


# --- drill ---------------------------------------------------------------------------------------------------------


def drill(settings: Settings, model: str | None, login: str | None) -> Answer:
    """Walk the way back on a shadow, of one model or of each that serves, and answer how long it took.

    Args:
        settings: Where things are.
        model: The model's name; all that serve by default.
        login: Who drills, as they say.

    Raises:
        InputError: Nothing serves, or this process's login cannot record what a drill shows.
    """
    from governance.release import drill as drills
    from governance.review import entries

    ledger = open_ledger(settings)
    _expect_recording(ledger, model)
    if model is not None:
        expect_known(settings, ledger, model)
    names = [model] if model else [folder.name for folder in model_folders(settings)]
    serving = [name for name in names if model or entries.champion_entry(ledger, name)]
    if not serving:
        raise InputError("Expected a model that serves, found none: there is nothing to roll back from.")
    actor = people_of(settings).identity(login) if login else COMMAND_LINE
    done = [
        drills.drill(settings, ledger, model=name, actor=actor, key=f"{name}:{secrets.token_hex(8)}")
        for name in serving
    ]
    code = YES if all(one.outcome == "served" for one in done) else NO
    return Answer({"drills": [one.to_dict() for one in done]}, lambda out: _show_drills(out, done), code)


def _expect_recording(ledger: "Ledger", model: str | None) -> None:
    """Refuse at once what would fail at its end: a drill takes half a minute, and then it is to be recorded."""
    able = [login for login, kinds in RIGHTS.items() if "drill" in kinds]
    if ledger.login not in able:
        which = f" MODEL={model}" if model else ""
        raise InputError(
            f"Expected the ledger's login {' or '.join(able)} in GOVERNANCE_LEDGER_URL, for a drill records what it "
            f"showed; found {ledger.login}, which may not. Run `make drill{which}`, or trigger drill_"
            f"{model or '<model>'} in Airflow: both have it."
        )


def _show_drills(out: "Console", done: "list[DrillOutcome]") -> None:
    for one in done:
        line(out, one.reason, style="bold" if one.in_time else "bold red")
        if one.total is not None:
            steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in one.seconds.items() if step != "start")
            line(out, f"Seconds: {steps}; before that, {one.seconds['start']:.1f} to start the shadow.")
    line(out, "A drill: what serves did not change.")
