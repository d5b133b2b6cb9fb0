"""What changed since the evidence was written: the files in force, held against what people signed for.

The code's digest covers every file that matters for a model; where it differs, git is asked which files those are.
"""

import subprocess
from pathlib import Path
from typing import Any

from governance.catalog import ModelSpec, people_of
from governance.code import SHARED, code_digest
from governance.errors import TamperedError
from governance.policy import load_policy
from governance.settings import Settings

NAMED = 8
"""How many changed files a message names."""


def expect_unchanged(settings: Settings, spec: ModelSpec, evidence: dict[str, Any]) -> None:
    """Refuse where policy, people, spec or code are not those of the evidence.

    Raises:
        TamperedError: Names what changed.
    """
    policy = load_policy(spec.folder, settings.policies)
    parts = (
        ("policy.yaml or its tier's file", evidence["policy"]["digest"], policy.digest),
        ("people.yaml", evidence["people"]["digest"], people_of(settings).digest),
        ("model.yaml", evidence["spec"]["digest"], spec.digest),
        ("the code", evidence["code"]["digest"], code_digest(settings, spec)),
    )
    changed = [(what, signed, found) for what, signed, found in parts if signed != found]
    if not changed:
        return
    files = changed_files(settings, spec, evidence["code"]["commit"])
    named = f" Changed files: {', '.join(files[:NAMED])}{' and more' if len(files) > NAMED else ''}." if files else ""
    told = "; ".join(f"{what} {signed[:16]}…, found {found[:16]}…" for what, signed, found in changed)
    raise TamperedError(
        f"Expected what was signed in {settings.root}: {told}.{named} Restore what was signed, or run "
        f"govern_{spec.name} again and have the new evidence signed."
    )


def changed_files(settings: Settings, spec: ModelSpec, commit: str | None) -> list[str]:
    """Return the files that matter and differ from a commit, by name; nothing where git cannot tell."""
    root = settings.root
    governed = (spec.folder, settings.policies, settings.people)
    paths = [str(path.relative_to(root)) for path in governed if path.is_relative_to(root)]
    if not commit:
        return []
    differing = _git(root, "diff", "--name-only", commit, "--", *paths, *SHARED)
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "--", *paths, *SHARED)
    return sorted({*differing, *untracked})


def _git(root: Path, *arguments: str) -> list[str]:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
