"""What a drafted folder leaves open: places that still say ``decide:``.

A note and no fault: the folder works, and a trial gives a verdict. People who sign read these places.
"""

from collections.abc import Iterator
from pathlib import Path

from governance.yamlfile import Fault

MARK = "decide:"


def notes(folder: Path) -> Iterator[Fault]:
    """Yield one note on all places of ``model.yaml`` that a person has not decided yet."""
    path = folder / "model.yaml"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return
    found = [number for number, line in enumerate(lines, start=1) if MARK in line.replace(f"`{MARK}`", "")]
    if found:
        where = ", ".join(map(str, found[:12])) + (" …" if len(found) > 12 else "")
        said = f"{len(found)} {'line still says' if len(found) == 1 else 'lines still say'} `{MARK}` ({where})."
        yield Fault(path, found[0], said, "Answer them before others sign: they cannot be known from data.")
