"""``governance drift``: how far the current data are from the reference, column by column, and what follows.

Parquet files are read a column at a time and never as a whole; what was sorted of the reference is kept in the state
folder, so that the next comparison with it is faster. Other sources go by way of a frame. Either way every number is of
all rows, and the same.

Exit codes: 0 no drift · 2 drifted · 3 not enough data, or a column is gone, so that nothing can be said of the whole.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.commands.answer import NO, NONE, UNDECIDED, YES, Answer, line
from governance.data.sources import files, lines, read_source
from governance.data.sources.parquet_columns import Columns
from governance.drift_decision import DriftDecision, DriftOutcome, check_limits, decide_drift
from governance.errors import InputError
from governance.measures.drift import LEVEL, MATERIAL, Drift
from governance.measures.drift_sides import FrameTable, ParquetTable, Table, measure_tables
from governance.measures.drift_sketch import Sketches
from governance.records import Measurement

if TYPE_CHECKING:
    from rich.console import Console

    from governance.settings import Settings

FOLDER = "sketches"
"""Of the state folder, where sketches are kept."""

EXITS = {DriftOutcome.NOTHING: YES, DriftOutcome.DRIFTED: NO, DriftOutcome.SEVERE: NO}
UNBOUNDED = ("drift.wasserstein", "drift.chi_square")
SHOWN = 30
"""Columns that have not drifted and are named, worst first."""

HEADS = ("PSI", "95 %", "KS", "Wasserstein", "JS", "chi²", "missing", "unseen")
"""``unseen`` is new categories of text, and what is out of range of numbers."""


@dataclass(frozen=True)
class Question:
    """What is asked; the arguments and options of the command.

    Attributes:
        reference: A path, or a source as in ``model.yaml``.
        current: Likewise.
        columns: Only these; all where empty.
        retrain_from: Share of drifted columns that counts as drifted.
        severe_from: Share that counts as severe.
        minimum_n: With fewer rows on either side nothing is decided.
        cache: Whether what was sorted of the reference is kept and used.
    """

    reference: str
    current: str
    columns: Sequence[str]
    retrain_from: float
    severe_from: float
    minimum_n: int
    cache: bool = True


@dataclass(frozen=True)
class _Compared:
    """What was found."""

    rows: tuple[int, int]
    drift: Drift
    decision: DriftDecision
    not_looked_at: tuple[str, ...]
    is_from_sketch: bool


def drift(settings: "Settings", asked: Question) -> Answer:
    """Answer with the measurements of every column, and a decision.

    Raises:
        InputError: A source, a column or a limit cannot be used, or the two sides cannot be compared.
    """
    check_limits(asked.retrain_from, asked.severe_from)
    found = _compare(asked, Sketches(settings.state / FOLDER) if asked.cache else None)
    document = {
        "measurements": [measurement.to_dict() for measurement in found.drift.measurements],
        "decision": found.decision.to_dict(),
        "rows": {"reference": found.rows[0], "current": found.rows[1]},
        "not_in_reference": list(found.not_looked_at),
    }
    return Answer(document, lambda out: _show(out, asked, found), EXITS.get(found.decision.outcome, UNDECIDED))


# --- the files -----------------------------------------------------------------------------------------------------


def _compare(asked: Question, sketches: Sketches | None) -> _Compared:
    with ExitStack() as opened:
        current = _table(opened, asked.current, "current data")
        reference = _table(opened, asked.reference, "reference")
        columns = _chosen(asked, reference.names)
        is_from_sketch = False
        if sketches is not None and isinstance(reference, ParquetTable):
            cached = sketches.open(reference.columns, keep=not columns)
            opened.push(lambda kind, *_: cached.close(keep=kind is None))
            reference, is_from_sketch = cached, cached.is_from_sketch
        measured = measure_tables(reference, current, columns=columns, minimum_n=asked.minimum_n)
        rows = (reference.rows, current.rows)
        new = () if columns else tuple(name for name in current.names if name not in set(reference.names))
    decision = decide_drift(
        measured.measurements, measured.drifted, retrain_from=asked.retrain_from, severe_from=asked.severe_from
    )
    return _Compared(rows, measured, decision, new, is_from_sketch)


def _table(opened: ExitStack, source: str, what: str) -> Table:
    if ":" not in source and not Path(source).is_file():
        raise InputError(f"Expected the {what} in a file at {source}, found none.")
    kind, rest = lines.parse(source)
    if kind != "parquet":
        return FrameTable(read_source(source, Path()))
    columns = Columns(files.find(rest, Path()))
    opened.callback(columns.close)
    return ParquetTable(columns)


def _chosen(asked: Question, there: Sequence[str]) -> list[str]:
    """Return the columns that are asked for: each is a name, or several with commas between them."""
    known = set(there)
    written = [name for text in asked.columns for name in ([text] if text in known else text.split(","))]
    names = list(dict.fromkeys(name.strip() for name in written))
    for name in names:
        if name not in known:
            from governance.check.wording import did_you_mean

            shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            hint = did_you_mean(name, there, "Correct --columns.")
            raise InputError(f"Expected a column {name!r} in {asked.reference}, found {shown}. {hint}")
    return names


# --- for people ----------------------------------------------------------------------------------------------------


def _show(out: "Console", asked: Question, found: _Compared) -> None:
    columns = _by_column(found.drift.measurements)
    m, n = found.rows
    sketch = ", the reference from its sketch" if found.is_from_sketch else ""
    title = f"{asked.current} against {asked.reference}: {n:,} rows against {m:,}, {len(columns)} columns{sketch}"
    line(out, title, style="bold")
    worst_first = sorted(columns, key=lambda name: -(columns[name]["psi"].value or 0.0))
    drifted = [name for name in worst_first if name in found.drift.drifted]
    if drifted:
        out.print()
        out.print(_full([(name, columns[name]) for name in drifted]))
    for text in _others(columns, [name for name in worst_first if name not in drifted], found):
        out.print()
        line(out, text)
    out.print()
    _show_decision(out, found.decision)


def _by_column(measured: Sequence[Measurement]) -> dict[str, dict[str, Measurement]]:
    columns: dict[str, dict[str, Measurement]] = {}
    for one in measured:
        if "column" in one.slice:
            columns.setdefault(one.slice["column"], {})[one.name.partition(".")[2]] = one
    return columns


def _full(columns: Sequence[tuple[str, dict[str, Measurement]]]) -> Any:
    from rich import table

    made = table.Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    made.add_column("column", overflow="fold")
    for head in HEADS:
        made.add_column(head, justify="right", no_wrap=True)
    for name, found in columns:
        psi, unseen = found["psi"], found.get("new_categories") or found.get("out_of_range")
        made.add_row(
            name,
            _number(psi),
            f"{psi.low:.3f}–{psi.high:.3f}",
            *(_number(found.get(measure)) for measure in ("ks", "wasserstein", "jensen_shannon", "chi_square")),
            _share(found.get("missing_change")),
            _share(unseen),
            style="bold red",
        )
    return made


def _others(columns: dict[str, dict[str, Measurement]], names: Sequence[str], found: _Compared) -> list[str]:
    there = [name for name in names if columns[name]["psi"].value is not None]
    gone = [name for name in names if columns[name]["psi"].value is None]
    what = "Measured" if found.decision.value is None else "Not drifted"
    told = []
    if there:
        shown = ", ".join(f"{name} {columns[name]['psi'].value:.3f}" for name in there[:SHOWN])
        told.append(f"{what}, with their PSI: {shown}{_more(there)}.")
    if gone:
        told.append(f"Gone, for the current data lack them: {', '.join(gone[:SHOWN])}{_more(gone)}.")
    if found.not_looked_at:
        new = found.not_looked_at
        told.append(f"Not looked at, for the reference lacks them: {', '.join(new[:SHOWN])}{_more(new)}.")
    return told


def _show_decision(out: "Console", decision: DriftDecision) -> None:
    style = {YES: "bold green", NO: "bold red"}.get(EXITS.get(decision.outcome, UNDECIDED), "bold yellow")
    action = f" → {decision.action}" if decision.action else ""
    line(out, f"{decision.outcome}: {decision.reason}{action}", style=style)
    if decision.outcome == DriftOutcome.NOT_COMPARABLE:
        line(out, "Bring the columns that are gone, or name those to compare: --columns A,B.")
    elif decision.value is not None:
        line(
            out,
            f"Rule: {decision.rule}. A column has drifted where its PSI is at least {MATERIAL:g} and significant at "
            f"{LEVEL:g} over all columns.",
        )


def _number(measured: Measurement | None) -> str:
    if measured is None or measured.value is None:
        return NONE
    return f"{measured.value:.4g}" if measured.name in UNBOUNDED else f"{measured.value:.3f}"


def _share(measured: Measurement | None) -> str:
    if measured is None or measured.value is None:
        return NONE
    sign = "+" if measured.name == "drift.missing_change" else ""
    return f"{100 * measured.value:{sign}.1f} %"


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
