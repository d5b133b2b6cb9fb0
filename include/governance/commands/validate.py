"""``governance validate``: the verdict on a model trained anywhere, for people, for machines and for a CI server."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.commands import verdicts
from governance.commands.answer import NO, Answer, line
from governance.errors import GovernanceError, InputError
from governance.reports.ci_report import CiReport
from governance.reports.ci_summary import to_markdown
from governance.reports.junit import to_junit
from governance.settings import Settings
from governance.validation import Asked, Validation, run_validation

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]


@dataclass(frozen=True)
class Reports:
    """Where the CI server wants to read the verdict.

    Attributes:
        junit: File for JUnit XML.
        markdown: File for the summary of a pull request.
    """

    junit: Path | None = None
    markdown: Path | None = None

    def prepare(self) -> None:
        """Refuse a place where nothing can be written, before minutes of work, and remove what an earlier run left.

        Raises:
            InputError: Naming it.
        """
        for file in (self.junit, self.markdown):
            if file is not None and (file.is_dir() or not os.access(file.absolute().parent, os.W_OK)):
                raise InputError(f"Expected a file that can be written, found {file}. Make its folder first.")
            if file is not None:
                file.unlink(missing_ok=True)

    def write(self, report: CiReport) -> None:
        """Write both, each whole or not at all."""
        for file, body in ((self.junit, to_junit), (self.markdown, lambda one: to_markdown(one).encode())):
            if file is not None:
                part = file.with_name(f".{file.name}.part")
                part.write_bytes(body(report))
                part.replace(file)


def validate(settings: Settings, model: str, asked: Asked, reports: Reports, tell: Callable[[str], None]) -> Answer:
    """Answer whether the policy would let a model through that was trained elsewhere.

    The reports are written whatever the answer is, an error included.
    """
    reports.prepare()
    try:
        found = run_validation(settings, model, asked, tell)
    except Exception as error:
        ours = f"This is a fault of ours: {type(error).__name__}. The job's log says more."
        reports.write(CiReport(model, asked.uri, error=str(error) if isinstance(error, GovernanceError) else ours))
        raise
    reports.write(_report(found))
    code = verdicts.exit_code(found.verdict) if found.verdict else NO
    return Answer(found.to_dict(), lambda out: _show(out, found), code)


def _report(found: Validation) -> CiReport:
    unmet = [(str(one.severity), str(one.sentence)) for one in found.contract.unmet()]
    return CiReport(
        model=found.model,
        uri=found.uri,
        data=found.data,
        rows=found.rows,
        verdict=found.verdict,
        unmet=unmet,
        contract_met=found.contract.success,
        notes=found.notes,
        seconds=found.seconds,
    )


def _show(out: "Console", found: Validation) -> None:
    out.print(f"{found.model} · {found.title} · {found.rows:,} rows of {found.data}", style="bold")
    line(out, f"{found.uri} · {found.source['flavour']} · {found.source['file']} {found.source['digest'][:16]}")
    for note in found.notes:
        line(out, f"note: {note}", style="dim")
    unmet = found.contract.unmet()
    total = len(found.contract.expectations)
    if found.verdict is None:
        out.print(f"Blocked: the data break the contract, {len(unmet)} of {total} expectations.", style="bold red")
    else:
        out.print(f"Contract met: {total} expectations" + (f", {len(unmet)} warn" if unmet else ""))
    for result in unmet:
        line(out, f"  {result.severity}: {result.sentence}")
    if found.verdict is not None:
        out.print()
        verdicts.show(out, found.verdict, measurements=found.measurements)
    out.print(f"\n{found.seconds:.1f} s. Nothing was logged or registered.", style="dim")
