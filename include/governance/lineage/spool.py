"""Events on disk, for as long as the outbox cannot be reached: one file each, whole or not there at all.

``<state>/lineage/spool/`` belongs to every process of this machine that emits. Files are named by the time at which
they were written, so that they are collected in that order. Whoever reaches the outbox next collects all of them; two
that collect at once keep each event once all the same, for the outbox knows it by its digest.

Not guaranteed: an event while both the database is away and the disk is full; the log of the task says so.
"""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

ENDING, DRAFT, SET_ASIDE = ".event", ".draft", ".refused"


class Spool:
    """The folder.

    Args:
        folder: Where; made when the first event is put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, text: str) -> Path:
        """Write an event, and return once it is on disk.

        Raises:
            OSError: There is no room, or the folder cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}{ENDING}"
        draft = path.with_suffix(DRAFT)
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._sync_folder()
        return path

    def waiting(self) -> list[Path]:
        """Return the files in the order in which they were written."""
        return sorted(self.folder.glob(f"*{ENDING}"))

    def read(self, paths: list[Path]) -> Iterator[tuple[Path, str]]:
        """Yield each file that is still there, with its event."""
        for path in paths:
            try:
                yield path, path.read_text(encoding="utf-8")
            except FileNotFoundError:  # another process collected it
                continue

    def remove(self, paths: list[Path]) -> None:
        """Remove files whose events are in the outbox."""
        for path in paths:
            path.unlink(missing_ok=True)

    def set_aside(self, path: Path) -> Path:
        """Keep a file that the outbox will never take, where nobody waits behind it; return its new name."""
        return path.rename(path.with_suffix(SET_ASIDE))

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
