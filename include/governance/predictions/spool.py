"""From memory to disk: a bounded queue, one thread that drains it, and files that survive a crash.

``<state>/predictions/<process>/`` holds one append-only file for each segment: its header, then its lines
(:mod:`governance.predictions.record`). A process holds a lock in its folder while it lives; the folder of one that is
gone is adopted by the next that looks (:mod:`governance.predictions.delivery`). What was delivered is deleted.

Written and fsynced every :data:`FLUSH_SECONDS`, so kill -9 loses less than a second of records, and a line that was cut
short is dropped when the file is read. The answer to a request never waits: where the queue or the disk is full, rows
are counted as lost, the log says so, and the next segment's header holds the count, so that the gap is in the ledger.

Not guaranteed: records in memory when the process is killed, and whatever a broken disk loses.
"""

import fcntl
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from governance.predictions import record
from governance.predictions.record import Batch, Refusal, Version

FLUSH_SECONDS = 0.25
"""How long records stay in memory alone, at most, but for what writing takes."""

SEGMENT_SECONDS = 5.0
SEGMENT_ROWS = 10_000
SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment is closed once it is as old, or as large."""

QUEUE_ROWS = 50_000
"""While so many rows wait in memory, no more are taken."""

DISK_BYTES = 1024**3
"""While so many bytes wait on disk, no more are written."""

AT_ONCE = 500
"""Rows that are written between two looks at the segment's size."""

TELL_SECONDS = 10.0
"""The log says of losses no more often than this."""

LOCK = "lock"
ENDING = ".segment"
SET_ASIDE = ".refused"

log = logging.getLogger("governance.predictions")


@dataclass(frozen=True)
class Limits:
    """What may wait, and how long."""

    flush_seconds: float = FLUSH_SECONDS
    segment_seconds: float = SEGMENT_SECONDS
    queue_rows: int = QUEUE_ROWS
    disk_bytes: int = DISK_BYTES


@dataclass
class Counts:
    """What happened to rows. Each field is changed by one thread alone, so that no count needs a lock.

    Attributes:
        taken: Rows that the queue took.
        refused: Rows that it did not, for it was full.
        drained: Rows that left the queue.
        dropped: Rows that left it and could not be written.
        spooled: Rows that were written to disk.
        spooled_bytes: Their bytes.
        adopted: Rows of earlier processes, found on disk.
        adopted_bytes: Their bytes.
        finished: Rows whose file is gone from the spool: delivered, or set aside.
        finished_bytes: Their bytes.
        written: Rows that this process wrote into the database.
        set_aside: Rows that the database will never take; their file is kept.
    """

    taken: int = 0
    refused: int = 0
    drained: int = 0
    dropped: int = 0
    spooled: int = 0
    spooled_bytes: int = 0
    adopted: int = 0
    adopted_bytes: int = 0
    finished: int = 0
    finished_bytes: int = 0
    written: int = 0
    set_aside: int = 0

    @property
    def lost(self) -> int:
        """Rows that will not be in the log."""
        return self.refused + self.dropped + self.set_aside

    @property
    def in_memory(self) -> int:
        """Rows that are in memory alone."""
        return self.taken - self.drained

    @property
    def waiting(self) -> int:
        """Rows in memory and on disk that are not in the database yet."""
        return max(0, self.in_memory + self.spooled + self.adopted - self.finished)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes that wait on disk."""
        return self.spooled_bytes + self.adopted_bytes - self.finished_bytes


@dataclass(frozen=True)
class Segment:
    """A segment as it lies on disk, without a last line that was cut short.

    Attributes:
        path: Its file.
        header: Its first line, without the line feed.
        rows: The lines of rows, as they are hashed.
        apart: The lines of protected values.
        refused: The lines of requests that were refused.
        size: Bytes of the file.
        torn: Bytes at its end that are no whole line.
    """

    path: Path
    header: bytes
    rows: bytes
    apart: bytes
    refused: bytes
    size: int
    torn: int

    @property
    def count(self) -> int:
        """How many rows it has."""
        return self.rows.count(b"\n")


def read_segment(path: Path) -> Segment:
    """Read a spooled segment."""
    body = path.read_bytes()
    whole = body[: body.rfind(b"\n") + 1]
    first, _, rest = whole.partition(b"\n")
    lines = [line + b"\n" for line in rest.split(b"\n") if line]
    kinds = (record.ROW, record.APART, record.REFUSED)
    rows, apart, refused = (b"".join(line[1:] for line in lines if line.startswith(kind.encode())) for kind in kinds)
    return Segment(path, first, rows, apart, refused, len(body), len(body) - len(whole))


class Folder:
    """A folder of segments, held by one living process.

    Args:
        path: The folder; made if it is not there.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(self._lock)
            raise

    def segments(self) -> list[Path]:
        """Return the files in the order in which they were begun."""
        return sorted(self.path.glob(f"*{ENDING}"))

    def release(self) -> None:
        """Let go; a folder with nothing in it disappears."""
        if not [path for path in self.path.iterdir() if path.name != LOCK]:
            (self.path / LOCK).unlink(missing_ok=True)
            self.path.rmdir()
        os.close(self._lock)


def abandoned(root: Path, own: Path | None) -> Iterator[Folder]:
    """Yield the folders of processes that are gone, oldest first; each is held until it is released."""
    for path in sorted(path for path in root.glob("*") if path.is_dir() and path != own):
        try:
            yield Folder(path)
        except OSError:  # its process lives, or released it just now
            continue


class _Writing:
    """A segment that is being written."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.rows = self.size = 0
        self.is_synced = False
        self.since = time.monotonic()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            self.append([header + b"\n"])
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise
        self.rows = 0

    def append(self, blocks: list[bytes]) -> int:
        """Write all of it or nothing; return how many bytes it is."""
        body = memoryview(b"".join(blocks))
        self.is_synced = False
        left = body
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.rows += len(blocks)
        self.size += len(body)
        return len(body)

    def append_beside(self, line: bytes) -> int:
        """Write a line that is no row; return how many bytes it is."""
        written = self.append([line])
        self.rows -= 1
        return written

    def sync(self) -> None:
        """Return once it is on disk."""
        if not self.is_synced:
            os.fsync(self._file)
            self.is_synced = True

    def close(self) -> None:
        """End it."""
        os.close(self._file)


@dataclass
class Spool:
    """The queue, and the thread that writes it to disk. ``take`` is called by one thread: the event loop's.

    Attributes:
        root: ``<state>/predictions``.
        limits: What may wait.
        counts: What happened to rows.
        closed: Files that are complete, in order; delivery takes them from here.
        folder: This process's own, once there is a record.
    """

    root: Path
    limits: Limits = field(default_factory=Limits)
    counts: Counts = field(default_factory=Counts)
    closed: "deque[Path]" = field(default_factory=deque)
    folder: Folder | None = None
    _queue: "deque[Batch]" = field(default_factory=deque)
    _refused: "deque[Refusal]" = field(default_factory=lambda: deque(maxlen=QUEUE_ROWS))
    _open: dict[Version, _Writing] = field(default_factory=dict)
    _begun: int = 0
    _declared: int = 0
    _told: int = 0
    _told_at: float = float("-inf")
    _why: str = ""

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-spool", daemon=True)

    def take(self, batch: Batch) -> None:
        """Take the rows of an answer, or count them as lost; returns at once and raises nothing."""
        rows = len(batch.rows)
        if self.counts.in_memory >= self.limits.queue_rows:
            self.counts.refused += rows
        else:
            self._queue.append(batch)
            self.counts.taken += rows

    def refuse(self, refusal: Refusal) -> None:
        """Count a request that was refused; returns at once and raises nothing. Of too many, the oldest go."""
        self._refused.append(refusal)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, close every segment, and stop."""
        self._ending.set()
        self._thread.join(timeout=30)

    def flush(self, *, close: bool = False) -> None:
        """Write what waits in memory, fsync it, and close segments that are old or large enough, or all."""
        while self._queue:
            batch = self._queue.popleft()
            self._write(batch)
            self.counts.drained += len(batch.rows)
        self._write_refused()
        for version, writing in list(self._open.items()):
            writing.sync()
            if close or time.monotonic() - writing.since >= self.limits.segment_seconds:
                self._close(version)
        self._tell_losses()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ending.wait(self.limits.flush_seconds)
            try:
                self.flush(close=ended)
            except Exception as error:  # nothing may end the thread that keeps the record
                log.error("Predictions could not be spooled in %s: %s", self.root, type(error).__name__)

    def _write(self, batch: Batch) -> None:
        blocks, left = record.lines(batch), len(batch.rows)
        try:
            while chunk := list(islice(blocks, AT_ONCE)):
                self._append(batch.version, chunk)
                left -= len(chunk)
        except Exception as error:  # a full disk, or a value that nobody foresaw: the other batches must not wait
            self._why = error.strerror or "" if isinstance(error, OSError) else type(error).__name__
            self.counts.dropped += left

    def _write_refused(self) -> None:
        """Write a line for each fault; what cannot be written now is tried again, for as long as there is room."""
        alike: dict[tuple[Version, str, str], list[Refusal]] = {}
        for one in [self._refused.popleft() for _ in range(len(self._refused))]:
            alike.setdefault((one.version, one.fault, one.feature), []).append(one)
        for (version, *_), same in alike.items():
            line = record.refused_line(same[0], len(same), sum(one.rows for one in same))
            try:
                self.counts.spooled_bytes += self._writing(version).append_beside(line)
            except OSError as error:
                self._why = error.strerror or ""
                self._refused.extend(same)

    def _append(self, version: Version, blocks: list[bytes]) -> None:
        writing = self._writing(version)
        self.counts.spooled_bytes += writing.append(blocks)
        self.counts.spooled += len(blocks)
        if writing.rows >= SEGMENT_ROWS or writing.size >= SEGMENT_BYTES:
            writing.sync()
            self._close(version)

    def _writing(self, version: Version) -> _Writing:
        """Return the version's open segment, while there is room on disk.

        Raises:
            OSError: There is none.
        """
        if self.counts.bytes_on_disk >= self.limits.disk_bytes:
            raise OSError(0, f"{self.limits.disk_bytes:,} bytes wait in {self.root} already")
        return self._open.get(version) or self._begin(version)

    def _begin(self, version: Version) -> _Writing:
        if self.folder is None:
            self.folder = Folder(self.root / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}")
        self._begun += 1
        segment = uuid.uuid4().hex
        path = self.folder.path / f"{self._begun:08d}-{segment}{ENDING}"
        lost = self.counts.lost
        writing = _Writing(path, record.header(version, segment, lost - self._declared))
        self._declared = lost
        self.counts.spooled_bytes += writing.size
        self._open[version] = writing
        return writing

    def _close(self, version: Version) -> None:
        writing = self._open.pop(version)
        writing.close()
        self.closed.append(writing.path)

    def _tell_losses(self) -> None:
        lost = self.counts.refused + self.counts.dropped
        if lost > self._told and time.monotonic() - self._told_at >= TELL_SECONDS:
            why = self._why or f"{self.limits.queue_rows:,} rows wait in memory already"
            log.error("%d predictions are lost, %d since the start: %s", lost - self._told, lost, why)
            self._told, self._told_at, self._why = lost, time.monotonic(), ""
