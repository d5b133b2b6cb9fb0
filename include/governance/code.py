"""Which code decides: its digest, its commit, and who wrote it.

The digest binds what matters (the model's folder, policies, people, lock, ``governance/``, ``dags/``, ``plugins/``),
not the commit: an unrelated commit voids nothing (§10.6). Authors come from git; an image without history carries
``authorship.json``, written when it is built (``python -m governance.code > authorship.json``).

Not guaranteed: git records whatever name and e-mail the committer set. Signed commits, where a team has them, are
checked by the forge that accepts them.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from governance import canonical
from governance.catalog import ModelSpec, People
from governance.records import Measurement
from governance.settings import Settings

LOCK = "requirements.txt"
AUTHORSHIP = "authorship.json"
SHARED = ("include/governance", "dags", "plugins", LOCK)
"""What every model's release depends on, besides its own folder, the policies and the people."""


@dataclass(frozen=True)
class Author:
    """Someone who wrote a commit: the e-mail as git has it, and the commits."""

    email: str
    commits: tuple[str, ...]


@dataclass(frozen=True)
class CodeState:
    """The code as it stands in the work tree.

    Attributes:
        digest: Over every file that matters.
        commit: The commit that is checked out; ``None`` without history.
        uncommitted: Files that differ from it.
        authors: Who wrote to the model's folder, the policies or the people since the commit asked for.
        history: Whether there is a history to answer from (an authorship file counts).
    """

    digest: str
    commit: str | None
    uncommitted: tuple[str, ...]
    authors: tuple[Author, ...]
    history: bool


def code_state(settings: Settings, spec: ModelSpec, since: str | None = None) -> CodeState:
    """Look at the checkout.

    Args:
        settings: Where the checkout is.
        spec: The model whose folder counts.
        since: The commit of the champion; without one, or where it is not an ancestor, all history counts.
    """
    root = settings.root
    governed = [spec.folder, settings.policies, settings.people]
    paths = [str(path.relative_to(root)) for path in governed if path.is_relative_to(root)]
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return _from_authorship(settings, spec)
    status = _git(root, "status", "--porcelain", "--", *paths, *SHARED) or ""
    return CodeState(
        digest=code_digest(settings, spec),
        commit=commit.strip(),
        uncommitted=tuple(line[3:] for line in status.splitlines()),
        authors=tuple(_authors(root, since, paths)),
        history=_git(root, "rev-parse", "--is-shallow-repository") == "false\n",
    )


def code_digest(settings: Settings, spec: ModelSpec) -> str:
    """Return the digest of every file that matters for a model, by path and content."""
    folders = [spec.folder, settings.policies, settings.people, *(settings.root / name for name in SHARED)]
    files = {_name(settings, path): _sha256(path) for folder in folders for path in _files(folder)}
    return canonical.digest(files)


def place_of(settings: Settings, file: Path) -> dict[str, str]:
    """Return where a file of the checkout is found again: its repository and commit, as far as they are known.

    Args:
        settings: Where the checkout is.
        file: The file.
    """
    root = settings.root
    repository = (_git(root, "remote", "get-url", "origin") or "").strip()
    commit = (_git(root, "rev-parse", "HEAD") or "").strip() or _built_from(root)
    path = file.relative_to(root) if file.is_relative_to(root) else file
    place = {"url": repository if "://" in repository else root.resolve().as_uri(), "path": str(path)}
    return {**place, **({"repoUrl": repository} if repository else {}), **({"version": commit} if commit else {})}


def _built_from(root: Path) -> str:
    """Return the commit that an image without history was built from."""
    try:
        return str(json.loads((root / AUTHORSHIP).read_text())["commit"] or "")
    except (OSError, ValueError, KeyError):
        return ""


def lock_digest(settings: Settings) -> str:
    """Return the SHA-256 of the lock of the environment."""
    return _sha256(settings.root / LOCK)


def locked_packages(settings: Settings) -> int:
    """Return how many packages the lock pins."""
    lines = (settings.root / LOCK).read_text().splitlines()
    return sum(1 for line in lines if "==" in line and not line.startswith((" ", "#")))


def provenance(state: CodeState, people: People) -> list[Measurement]:
    """Return what the policy judges of the code: uncommitted files, and authors nobody can name."""
    return [uncommitted_changes(state), unknown_authors(state, people)]


def uncommitted_changes(state: CodeState) -> Measurement:
    """Files that matter for the model and differ from what is committed.

    Formula: the number of such files.
    Source: counted.
    Ideal: 0: what was signed can then be found in the history.
    Limits: knows the checkout that runs, not what was reviewed.
    """
    return Measurement("provenance.uncommitted_changes", len(state.uncommitted), 1, method="counted")


def unknown_authors(state: CodeState, people: People) -> Measurement:
    """Authors of commits to what matters for the model who are not in ``people.yaml``.

    Formula: the number of such e-mail addresses, since the champion's commit; n is how many authors there are.
    Source: counted.
    Ideal: 0: whoever wrote the model must not sign it, and nobody can say that of a stranger.
    Limits: an e-mail address in a commit is what its author wrote there.
    """
    if not state.history:
        reason = "the history of the checkout is missing"
        return Measurement("provenance.unknown_authors", None, 0, reason=reason)
    unknown = emails_to_add(state, people)
    return Measurement("provenance.unknown_authors", len(unknown), len(state.authors), method="counted")


def emails_to_add(state: CodeState, people: People) -> list[str]:
    """Return the e-mails of authors who are not in ``people.yaml``: what to add there."""
    return [author.email for author in state.authors if people.by_email(author.email) is None]


def _authors(root: Path, since: str | None, paths: list[str]) -> Iterator[Author]:
    known = since is not None and _git(root, "merge-base", "--is-ancestor", since, "HEAD") is not None
    span = f"{since}..HEAD" if known else "HEAD"
    log = _git(root, "log", "--format=%H %ae", span, "--", *paths) or ""
    by_email: dict[str, list[str]] = {}
    for line in log.splitlines():
        commit, email = line.split(" ", 1)
        by_email.setdefault(email.lower(), []).append(commit)
    for email, commits in sorted(by_email.items()):
        yield Author(email, tuple(commits))


def _from_authorship(settings: Settings, spec: ModelSpec) -> CodeState:
    digest = code_digest(settings, spec)
    try:
        document = json.loads((settings.root / AUTHORSHIP).read_text())
        built, commit = document["models"][spec.name], document["commit"]
        authors = tuple(Author(email, tuple(commits)) for email, commits in sorted(built["authors"].items()))
        return CodeState(digest, commit, tuple(built["uncommitted"]), authors, history=built["digest"] == digest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return CodeState(digest, None, (), (), history=False)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for child in sorted(path.rglob("*")):
        if child.is_file() and "__pycache__" not in child.parts and child.suffix not in (".pyc", ".swp"):
            yield child


def _name(settings: Settings, path: Path) -> str:
    return str(path.relative_to(settings.root)) if path.is_relative_to(settings.root) else str(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _write_authorship(settings: Settings) -> None:
    """Print the authorship of every model, for an image that will have no history."""
    from governance.catalog import load_spec, model_folders

    states = {folder.name: code_state(settings, load_spec(folder)) for folder in model_folders(settings)}
    document = {
        "commit": next(iter(states.values())).commit if states else None,
        "models": {name: _authorship_of(state) for name, state in states.items()},
    }
    print(json.dumps(document, indent=1))


def _authorship_of(state: CodeState) -> dict[str, object]:
    authors = {author.email: list(author.commits) for author in state.authors}
    return {"digest": state.digest, "uncommitted": list(state.uncommitted), "authors": authors}


if __name__ == "__main__":
    from governance.settings import load_settings

    _write_authorship(load_settings())
