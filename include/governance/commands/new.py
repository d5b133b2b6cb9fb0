"""``governance new``: a folder drafted from data, and what was decided on the way."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from governance.catalog import TaskName, Tier
from governance.commands.answer import Answer, line
from governance.drafting.folder import Asker, Drafted, Request, draft
from governance.errors import InputError
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.drafting.writing import Folder

Json = dict[str, Any]


def request(*, task: str | None, tier: str | None, **given: Any) -> Request:
    """Return what was asked for, from the options as they were typed.

    Raises:
        InputError: Task or tier is none of those that there are.
    """
    for option, value, kind in (("--task", task, TaskName), ("--tier", tier, Tier)):
        if value is not None and value not in get_args(kind):
            raise InputError(f"Expected {option} to be {', '.join(get_args(kind))}, found {value!r}.")
    options: Json = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Request(task=cast("TaskName | None", task), tier=cast("Tier | None", tier), **options)


class Terminal:
    """The person who typed the command; questions go to standard error, as everything that is no answer."""

    def confirm(self, question: str) -> bool:
        """Return yes or no; yes is what Enter says."""
        import typer

        return typer.confirm(question, default=True, err=True)

    def text(self, question: str) -> str:
        """Return what was typed."""
        import typer

        return str(typer.prompt(question, default="", show_default=False, err=True))


def new(settings: Settings, asked: Request, *, as_json: bool) -> Answer:
    """Write a model's folder and answer what was written and decided.

    Args:
        settings: Where the folders are.
        asked: What was asked for.
        as_json: Whether a program reads the answer: then nobody is asked anything.
    """
    made = draft(settings, asked, _person(asked, as_json), Path.cwd())
    return Answer(_document(made), lambda out: _show(out, made))


def _person(asked: Request, as_json: bool) -> Asker | None:
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    return Terminal() if at_terminal and not as_json and not asked.yes else None


def _document(made: Drafted) -> Json:
    folder, parts = made.folder, made.folder.parts
    return {
        "model": folder.name,
        "folder": str(made.path),
        "files": list(made.files),
        "rows": folder.profile.rows,
        "source": folder.source,
        "task": folder.outcome.task,
        "favourable": folder.outcome.favourable,
        "classes": list(folder.outcome.classes) if folder.outcome.classes else None,
        "tier": folder.tier,
        "owner": folder.owner,
        "developers": list(folder.developers),
        "protected": {one.name: one.written.model_dump(exclude_none=True) for one in folder.protected},
        "no_persons": folder.no_persons,
        "features": [column.name for column in parts.features],
        "proxies": parts.proxies,
        "leaks": parts.leaks,
        "left_out": parts.left_out,
        "personal": parts.personal,
        "evaluation": dict(folder.training.evaluation),
        "expectations": made.expectations,
        "next": _next(folder),
    }


def _show(out: "Console", made: Drafted) -> None:
    folder, parts, outcome = made.folder, made.folder.parts, made.folder.outcome
    line(out, f"Written: {made.path}", style="bold")
    line(out, f"  {', '.join(made.files)}")
    out.print("\nDecided, and why:")
    line(out, f"  task        {outcome.task}: {outcome.why}")
    if outcome.task == "binary_classification":
        line(out, f"  favourable  {_favourable(folder)}")
    line(out, f"  tier        {folder.tier}: {folder.why_tier}")
    line(out, f"  owner       {folder.owner}; developers {', '.join(folder.developers)}")
    line(out, f"  data        {folder.profile.rows:,} rows, {folder.source}: {folder.why_source}")
    for attribute in folder.protected:
        line(out, f"  protected   {attribute.in_words}")
    if folder.no_persons:
        line(out, f"  protected   nobody: {folder.no_persons}")
    line(out, f"  features    {len(parts.features)}: {_some([column.name for column in parts.features])}")
    for name, why in parts.leaks.items():
        line(out, f"  leak        {name}: {why}")
    for name, why in parts.left_out.items():
        line(out, f"  left out    {name}: {why}")
    if alike := folder.profile.alike(parts.personal):
        line(out, f"  copies      {alike:,} rows are the same as another: is each a case of its own? decide")
    line(out, f"  contract    {made.expectations} expectations, all met by these data")
    line(out, f"  judged by   {folder.training.why}")
    out.print("\nNext:")
    steps = dict(zip(_next(folder), ("right, and what is still open", "the verdict, in seconds"), strict=True))
    for command, what in steps.items():
        line(out, f"  {command:<28}  {what}")
    line(out, f"  Answer each `decide:` in {made.path.name}/model.yaml: a reviewer signs on it.")


def _favourable(folder: "Folder") -> str:
    from governance.drafting.outcome import last_guess

    if folder.outcome.undecided:
        return f"{last_guess(folder.outcome)}: a guess, nothing says which is good for people. decide"
    return f"{folder.outcome.favourable}: {folder.outcome.why_favourable}"


def _next(folder: "Folder") -> list[str]:
    return [f"governance check {folder.name}", f"governance try {folder.name}"]


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
