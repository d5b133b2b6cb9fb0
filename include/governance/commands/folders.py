"""The commands that read folders: ``models``, ``check`` and ``try``."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from governance.catalog import find_spec, model_folders
from governance.commands import verdicts
from governance.commands.answer import NO, NONE, YES, Answer, line, table
from governance.errors import GovernanceError, InputError
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.ledger.log import Entry, Ledger
    from governance.trial import Trial

Json = dict[str, Any]

READABLE = 64 * 1024**2
"""Bytes of a data file that ``check`` reads without being asked."""


# --- models --------------------------------------------------------------------------------------------------------


def models(settings: Settings) -> Answer:
    """Answer what is governed."""
    ledger = _ledger(settings)
    rows = [_model(settings, folder.name, ledger) for folder in model_folders(settings)]
    document = {"models": rows, "ledger": ledger is not None}
    return Answer(document, lambda out: _show_models(out, rows, ledger is not None))


def _ledger(settings: Settings) -> "Ledger | None":
    if settings.ledger_url is None:
        return None
    from governance.ledger.log import Ledger

    return Ledger(settings.ledger_url)


def _model(settings: Settings, name: str, ledger: "Ledger | None") -> Json:
    row: Json = {"name": name, "title": None, "owner": None, "tier": None, "fault": None}
    with suppress(GovernanceError):
        spec = find_spec(settings, name)
        row |= {"title": spec.title, "owner": spec.owner.model_dump(), "tier": spec.tier}
    if row["tier"] is None:
        row["fault"] = f"model.yaml cannot be read; run `governance check {name}`"
    unknown = {"champion": None, "permit": None, "verdict": None, "drift": None}
    return row | (_standing(ledger, name) if ledger else unknown)


def _standing(ledger: "Ledger", name: str) -> Json:
    from governance.release.history import live

    serving = live(ledger, name)
    judged = ledger.find(kind="evidence", subject=name, newest_first=True, limit=1)
    return {
        "champion": serving and {"version": serving.version, "since": serving.since.isoformat()},
        "permit": serving and {"expires_at": serving.permit_expires_at.isoformat(), "evidence": serving.evidence},
        "verdict": _last_verdict(judged[0].data) if judged else None,
        "drift": _last_watched(next(iter(ledger.backwards("monitoring", name)), None)),
    }


def _last_watched(entry: "Entry | None") -> Json | None:
    if entry is None:
        return None
    found = entry.data["decision"]
    return {"decision": found["action"], "because": found["because"], "until": entry.data["until"]}


def _last_verdict(data: Mapping[str, Any]) -> Json:
    model = data["evidence"]["model"]
    outcome = data["evidence"]["verdict"]["outcome"]
    return {"outcome": outcome, "version": model["version"], "attempt": model["attempt"], "evidence": data["digest"]}


def _show_models(out: "Console", rows: list[Json], asked: bool) -> None:
    if not rows:
        out.print("No model is governed yet: include/models/ holds no folder with a model.yaml.")
        return
    listed = table("model", "tier", "owner", "serves", "verdict", "last look")
    for row in rows:
        if row["fault"]:
            listed.add_row(row["name"], NONE, NONE, NONE, row["fault"], NONE)
            continue
        champion, permit, verdict, watched = (row[of] for of in ("champion", "permit", "verdict", "drift"))
        listed.add_row(
            f"{row['name']}\n{row['title']}",
            row["tier"],
            f"{row['owner']['team']}\n{row['owner']['person']}",
            f"{champion['version']}\n{permit['expires_at'][:10]}" if champion else NONE,
            f"{verdict['outcome']}\n{verdict['version']}" if verdict else NONE,
            f"{watched['decision'].replace('_', ' ')}\n{watched['until'][:10]}" if watched else NONE,
        )
    out.print(listed)
    if not asked:
        out.print("\nChampions are not shown: no ledger is configured. `make up` starts one.")


# --- check ---------------------------------------------------------------------------------------------------------


def check(settings: Settings, name: str | None, data: bool | None) -> Answer:
    """Answer whether one folder, or every folder, is right.

    Args:
        settings: Where the folders are.
        name: One model; all by default.
        data: Whether to read the data source and run the contract on it; by default the source is read where that is
            quick, and the contract, which takes seconds, is not run.
    """
    from governance.check import examine, stray_folders

    names = [name] if name else [folder.name for folder in model_folders(settings)]
    stray = [] if name else stray_folders(settings)
    if not names and not stray:
        raise InputError(f"Expected model folders in {settings.models}, found none.")
    found = [
        examine(settings, one, data=_reads(settings, one) if data is None else data, contract=bool(data))
        for one in names
    ]
    right = not stray and not any(one.faults for one in found)
    document = {"ok": right, "models": [one.to_dict() for one in found], "not_governed": stray}

    def show(out: "Console") -> None:
        for one in found:
            for fault in one.faults:
                line(out, str(fault))
            for note in one.notes:
                line(out, f"note: {note}", style="dim")
            out.print(f"{one.model}: {_count(len(one.faults))}", style="bold red" if one.faults else "bold green")
        for folder in stray:
            line(out, f"{folder}: this folder has no model.yaml, so it is not governed. Write one, or remove it.")

    return Answer(document, show, YES if right else InputError.exit_code)


def _reads(settings: Settings, name: str) -> bool:
    """Say whether the source is small enough to be read on the side: a package's table, or a file of some megabytes."""
    from governance.data.sources import lines

    with suppress(GovernanceError):
        spec = find_spec(settings, name)
        kind, rest = lines.parse(spec.data.source)
        if kind not in lines.FILES or rest.startswith(lines.S3):
            return kind == "python"
        file = spec.folder / rest
        return not file.is_file() or file.stat().st_size <= READABLE
    return False


def _count(faults: int) -> str:
    return {0: "right, no fault", 1: "1 fault"}.get(faults, f"{faults} faults")


# --- try -----------------------------------------------------------------------------------------------------------


def try_model(
    settings: Settings,
    name: str,
    parameters: Mapping[str, Any],
    seed: int | None,
    alternatives: bool,
    tell: Callable[[str], None],
) -> Answer:
    """Answer what the pipeline would measure, and whether the policy would let it through."""
    from governance.trial import Asked, run_trial

    trial = run_trial(settings, name, Asked(parameters, seed, alternatives), tell)
    code = verdicts.exit_code(trial.verdict) if trial.verdict else NO
    return Answer(trial.to_dict(), lambda out: _show_trial(out, trial, alternatives), code)


def _show_trial(out: "Console", trial: "Trial", searched: bool) -> None:
    unmet = trial.contract.unmet()
    total = len(trial.contract.expectations)
    out.print(f"{trial.model} · {trial.title} · {trial.rows:,} rows", style="bold")
    if not trial.contract.success:
        out.print(f"Blocked: the data break the contract, {len(unmet)} of {total} expectations.", style="bold red")
    else:
        out.print(f"Contract met: {total} expectations" + (f", {len(unmet)} warn" if unmet else ""))
    for result in unmet:
        line(out, f"  {result.severity}: {result.sentence}")
    for number, attempt in enumerate(trial.attempts, start=1):
        out.print()
        out.print(_made_by(number, attempt.recipe.to_dict()))
        out.print()
        verdicts.show(out, attempt.verdict, measurements=attempt.measurements)
    _show_search(out, trial, searched)
    out.print(f"\n{trial.seconds:.1f} s. Nothing was written, logged or registered.", style="dim")


def _made_by(number: int, recipe: Json) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in recipe["parameters"].items())
    dropped = f" · without {', '.join(recipe['dropped'])}" if recipe["dropped"] else ""
    threshold = "" if recipe["threshold"] is None else f" · threshold {recipe['threshold']:g}"
    return f"Attempt {number}: {parameters} · seed {recipe['seed']}{threshold}{dropped}"


def _show_search(out: "Console", trial: "Trial", searched: bool) -> None:
    if trial.search is not None:
        passing = sum(variant.passes for variant in trial.search.tried)
        chosen = trial.search.chosen
        result = f"chosen: {chosen.label}" if chosen else "none passes every rule"
        out.print(f"\n{len(trial.search.tried)} alternatives tried, {passing} pass; {result}.")
    elif not searched and trial.verdict and _only_unfair(trial):
        out.print(f"Only fairness rules fail: `governance try {trial.model} --alternatives` searches what passes.")


def _only_unfair(trial: "Trial") -> bool:
    failing = trial.verdict.failing() if trial.verdict else ()
    return bool(failing) and all(rule.measure.startswith("fairness.") for rule in failing)
