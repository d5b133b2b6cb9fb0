"""Saving all that cannot be made again, and bringing it back: ``save`` and ``restore``.

The order is what makes it whole while everything runs. Entries of the ledger name versions in MLflow, those name
artifacts, and both name snapshots; nothing that is named is ever changed or deleted. So the ledger is saved first and
what it names after it: then everything that the saved ledger names is there. It is restored the other way round, and
verified at the end.

Not saved: what can be made again (lineage in Marquez, from the outbox; metrics; what waits in Redis), and the secrets
and the witness's memory, which must not lie beside what they guard (docs/backup.md).
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from governance.ledger.log import Ledger
from governance.ledger.verify import Anchor, verify
from stack.errors import StackError
from stack.postgres import binaries

DATABASES = ("governance", "mlflow", "mlflow_logins", "airflow")
"""In the order in which they are saved."""

MANIFEST = "manifest.json"
Json = dict[str, Any]


class Artifacts(Protocol):
    """Where MLflow keeps files."""

    def save(self, folder: Path) -> None:
        """Copy all of them into a folder."""

    def restore(self, folder: Path) -> None:
        """Copy all of them back."""

    def is_empty(self) -> bool:
        """Whether there are none."""


@dataclass(frozen=True)
class Folder:
    """Files in a folder of this machine: artifacts, or snapshots."""

    path: Path

    def save(self, folder: Path) -> None:
        """Copy all of them into a folder."""
        shutil.copytree(self.path, folder, dirs_exist_ok=True, ignore=_unfinished)

    def restore(self, folder: Path) -> None:
        """Copy all of them back."""
        shutil.copytree(folder, self.path, dirs_exist_ok=True)

    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self.path.exists() or not any(self.path.iterdir())


def _unfinished(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name.startswith(".tmp")}


@dataclass(frozen=True)
class Bucket:
    """Files in a bucket of an object store."""

    client: Any
    name: str

    def save(self, folder: Path) -> None:
        """Copy all of them into a folder."""
        for key in self._keys():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(self.name, key, str(target))

    def restore(self, folder: Path) -> None:
        """Copy all of them back."""
        for path in _files(folder):
            self.client.upload_file(str(path), self.name, path.relative_to(folder).as_posix())

    def is_empty(self) -> bool:
        """Whether there are none."""
        return next(self._keys(), None) is None

    def _keys(self) -> Iterator[str]:
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            yield from (each["Key"] for each in page.get("Contents", ()))


@dataclass(frozen=True)
class Places:
    """What is saved and restored.

    Attributes:
        databases: Database → PostgreSQL address of a superuser; those that are there.
        artifacts: MLflow's files.
        snapshots: Folder of the snapshots.
        ledger: The ledger, as the auditor sees it.
    """

    databases: Mapping[str, str]
    artifacts: Artifacts
    snapshots: Folder
    ledger: Ledger


def save(places: Places, folder: Path) -> Json:
    """Save everything into an empty folder, and return what was written into its manifest.

    Raises:
        StackError: The folder is not empty, the ledger is not whole, or a part could not be read. Without a manifest
            the folder is not taken for a backup.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"Expected an empty folder for the backup, found files in {folder}. Name another one.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    report = verify(places.ledger)
    if not report.whole or report.head is None:
        raise StackError("Expected a whole ledger to save, found one that is not: `governance ledger verify` says why.")
    for database in DATABASES:
        if database in places.databases:
            _dump(places.databases[database], folder / f"{database}.dump")
    places.artifacts.save(folder / "artifacts")
    places.snapshots.save(folder / "snapshots")
    manifest = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ledger": {"origin": report.origin, "seq": report.head.seq, "chain": report.head.chain},
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in _files(folder)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def restore(places: Places, folder: Path) -> Json:
    """Bring everything back into empty databases and folders, and verify the ledger; return the manifest.

    Raises:
        StackError: A file is not what was saved, something is there already (then nothing was changed), or the ledger
            that came back is not the one that was saved.
    """
    manifest = read(folder)
    full = [name for name, url in places.databases.items() if not _is_empty(url)]
    full += [name for name in ("artifacts", "snapshots") if not getattr(places, name).is_empty()]
    if full:
        raise StackError(
            f"Expected nothing where it is restored to, found something in {', '.join(full)}. Use new ones."
        )
    places.snapshots.restore(folder / "snapshots")
    places.artifacts.restore(folder / "artifacts")
    for database in reversed(DATABASES):
        if database in places.databases:
            _load(places.databases[database], folder / f"{database}.dump")
    kept = manifest["ledger"]
    report = verify(places.ledger, Anchor(kept["seq"], kept["chain"]))
    if not report.whole or report.origin != kept["origin"]:
        raise StackError(
            f"Expected the ledger as it was saved (entry {kept['seq']}), found another: {report.faults[:3]}"
        )
    return manifest


def read(folder: Path) -> Json:
    """Return the manifest of a backup whose files are what was saved.

    Raises:
        StackError: It has none, or a file is missing or was changed.
    """
    try:
        manifest: Json = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise StackError(f"Expected {MANIFEST} in {folder}, found none: it is no backup, or not a whole one.") from None
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != digest:
            raise StackError(f"Expected {path} as it was saved, found it {'changed' if path.exists() else 'missing'}.")
    return manifest


def _dump(url: str, file: Path) -> None:
    _run("pg_dump", url, "--format=custom", f"--file={file}")


def _load(url: str, file: Path) -> None:
    # All or nothing: a half restored database would look like a whole one to whoever comes later.
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", str(file), option="--dbname")


def _is_empty(url: str) -> bool:
    question = (
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN (SELECT oid FROM pg_namespace "
    )
    answer = _run("psql", url, "-Atc", question + "WHERE nspname LIKE 'pg_%' OR nspname = 'information_schema')")
    return answer.strip() == "0"


def _run(program: str, url: str, *arguments: str, option: str = "--dbname") -> str:
    # The password goes by the environment: a list of processes is for everybody to read.
    address, password = _without_password(url)
    command = [str(binaries() / program), f"{option}={address}", *arguments]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PGPASSWORD": password, "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{program} of {address} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _without_password(url: str) -> tuple[str, str]:
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(url)
    place = f"{parts.username}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=place)), unquote(parts.password or "")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
