"""What a command answers: one document for machines, one text for people, and an exit code.

Computing and printing are apart: while a command works, anything that a library prints goes to standard error, so
that ``--json`` leaves one document on standard output and nothing else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Json = Any

YES, NO, UNDECIDED = 0, 2, 3
NONE = "–"


@dataclass(frozen=True)
class Answer:
    """The answer of a command.

    Attributes:
        document: For ``--json``.
        show: Prints it for people.
        exit_code: 0 yes, 2 no, 3 not decided.
    """

    document: Json
    show: Callable[["Console"], None]
    exit_code: int = YES


def console(stream: IO[str]) -> "Console":
    """Return a console that wraps nothing by itself and colours only for a terminal."""
    from rich.console import Console

    return Console(file=stream, highlight=False, emoji=False, markup=False)


def line(out: "Console", text: str = "", style: str | None = None) -> None:
    """Print a line as it is, however long: what people copy or search must not be broken."""
    out.print(text, style=style, soft_wrap=True)


def table(*columns: str, numbers: Iterable[str] = ()) -> "Table":
    """Return a plain table; the columns named in ``numbers`` stand to the right."""
    from rich.table import Table

    right = set(numbers)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made
