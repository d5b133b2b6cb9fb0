"""Reads the Dockerfile: its instructions, and what they put into the image."""

import fnmatch
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from governance.settings import ROOT

FILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a stage: ``RUN`` and what is behind it, on one line."""

    stage: str
    word: str
    text: str


def instructions(text: str | None = None) -> list[Instruction]:
    """Return the instructions in order; the last stage is called ``final``."""
    joined = (FILE.read_text() if text is None else text).replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, stage = [], "before"
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = rest.partition(" AS ")[2] or "final"
        found.append(Instruction(stage, word, " ".join(rest.split())))
    return found


def of(stage: str, word: str) -> list[str]:
    """Return the texts of one kind of instruction in a stage."""
    return [each.text for each in instructions() if each.stage == stage and each.word == word]


def entrypoint() -> list[str]:
    """Return what every container of ours starts with."""
    words: list[str] = json.loads(of("final", "ENTRYPOINT")[0])
    return words


def build(checkout: Path, image: Path) -> Path:
    """Lay out the image's files as the Dockerfile says, from a checkout with its history; return the folder.

    ``/opt/governance`` becomes ``image``. What is installed is not: the interpreter of the tests has the same lock.
    """
    ignored = (checkout / ".dockerignore").read_text().splitlines()
    image.mkdir(parents=True)
    for line in of("final", "COPY"):
        *names, target = line.split()
        if names[0].startswith("--from="):
            continue
        for name in names:
            place = image / (Path(name).name if target.endswith("/") else target)
            _copy(checkout / name, place, ignored)
    [making] = [line for line in of("authorship", "RUN") if "governance.code" in line]
    command = making.split("&&")[-1].split(">")[0].split()
    assert command[0] == "PYTHONPATH=include", "what follows must run as it is written"
    done = subprocess.run(
        [sys.executable, *command[2:]],
        cwd=checkout,
        env={"PYTHONPATH": str(checkout / "include"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    (image / "authorship.json").write_bytes(done.stdout)
    return image


def _copy(source: Path, target: Path, ignored: list[str]) -> None:
    if source.is_file():
        shutil.copy2(source, target)
        return
    # Without **/ a pattern is one of the checkout's own folder, and none of those is copied.
    patterns = [pattern.removeprefix("**/") for pattern in ignored if pattern.startswith("**/")]

    def unwanted(_: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}

    shutil.copytree(source, target, ignore=unwanted)
