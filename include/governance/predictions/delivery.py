"""From disk to PostgreSQL, in order and once: one thread that outlasts the database's absence.

A segment is written in one transaction under its id, then committed to the ledger by its digest, then its file is
deleted. Whatever is killed in between is done again at the next start, and changes nothing the second time.

A segment that the database will never take (it says so of the bytes, not of itself) is set aside under another name and
counted as lost, so that the others do not wait behind it for ever.
"""

import logging
import threading
import time

from governance import canonical
from governance.errors import GovernanceError
from governance.ledger.log import Ledger
from governance.predictions import record
from governance.predictions.database import Database
from governance.predictions.spool import ENDING, SET_ASIDE, Folder, Segment, Spool, abandoned, read_segment

ACTOR = "serving"
KIND = "predictions"

LOOK_SECONDS = 0.25
ADOPT_SECONDS = 30.0
LONGEST_PAUSE = 15.0
"""Between two attempts while the database is away, seconds; the first pause is one second, and each doubles."""

LAST_SECONDS = 5.0
"""How long a process that ends goes on delivering; what is left is delivered after the next start."""

FINAL = ("22", "23", "GP")
"""Classes of the database's codes that are said of the bytes: sent again, they would be refused again."""

log = logging.getLogger("governance.predictions")


def key_of(segment: str) -> str:
    """Return the ledger's idempotency key for a segment."""
    return f"{KIND}:{segment}"


class Delivery:
    """The thread. It holds what it adopts until all of it is delivered.

    Args:
        spool: Whose files are delivered.
        database: The prediction log, with the serving identity's rights.
        ledger: The ledger, with the same.
    """

    def __init__(self, spool: Spool, database: Database, ledger: Ledger) -> None:
        self.problem: str | None = None
        self._spool, self._database, self._ledger = spool, database, ledger
        self._adopted: list[Folder] = []
        self._adopted_at = float("-inf")
        self._until = float("inf")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-delivery", daemon=True)

    def start(self) -> None:
        """Begin to deliver, what earlier processes left first."""
        self._thread.start()

    def stop(self) -> None:
        """Deliver what can be delivered in a few seconds, and stop. The spool must have been stopped before."""
        self._until = time.monotonic() + LAST_SECONDS
        self._ending.set()
        self._thread.join(timeout=LAST_SECONDS + 10)

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._ending.wait(pause):
            pause = LOOK_SECONDS if self._try_all() else min(LONGEST_PAUSE, max(1.0, 2 * pause))
        self._try_all()
        self._release()

    def _try_all(self) -> bool:
        """Deliver everything that is complete; return whether nothing stood in the way."""
        try:
            self._adopt()
            for folder in list(self._adopted):
                for path in folder.segments():
                    if time.monotonic() > self._until:
                        return False
                    self._deliver(read_segment(path))
                folder.release()
                self._adopted.remove(folder)
            while self._spool.closed and time.monotonic() <= self._until:
                self._deliver(read_segment(self._spool.closed[0]))
                self._spool.closed.popleft()
        except Exception as error:  # nothing may end the thread; what could not be delivered stays where it is
            said = str(error) if isinstance(error, GovernanceError) else f"{type(error).__name__}: {error}"
            if self.problem is None:
                log.warning("Predictions wait on disk, %d rows: %s", self._spool.counts.waiting, said)
            self.problem = said
            return False
        if self.problem is not None:
            log.info("Predictions are delivered again")
        self.problem = None
        return True

    def _adopt(self) -> None:
        if time.monotonic() - self._adopted_at < ADOPT_SECONDS:
            return
        self._adopted_at = time.monotonic()
        held = {folder.path for folder in self._adopted}
        own = self._spool.folder.path if self._spool.folder else None
        for folder in abandoned(self._spool.root, own):
            if folder.path in held:
                continue
            self._adopted.append(folder)
            for path in folder.segments():
                segment = read_segment(path)
                self._spool.counts.adopted += segment.count
                self._spool.counts.adopted_bytes += segment.size

    def _deliver(self, segment: Segment) -> None:
        if segment.torn:
            log.warning("%s: a last line of %d bytes was cut short and is dropped", segment.path, segment.torn)
        try:
            if segment.refused:
                self._database.write_refusals(segment.header, segment.refused)
            written = segment.count > 0 and self._database.write_segment(segment.header, segment.rows, segment.apart)
        except GovernanceError as error:
            if not _is_final(error):
                raise
            self._set_aside(segment, error)
        else:
            if segment.count:
                self._commit(segment)
            segment.path.unlink()
            self._spool.counts.written += segment.count if written else 0
        self._spool.counts.finished += segment.count
        self._spool.counts.finished_bytes += segment.size

    def _commit(self, segment: Segment) -> None:
        header = canonical.from_bytes(segment.header)
        times = [line.partition(b"\t")[0].decode() for line in segment.rows.splitlines()]
        data = {
            "segment": header["segment"],
            "digest": record.digest(segment.header, segment.rows),
            "rows": segment.count,
            "first": min(times),
            "last": max(times),
            "version": header["version"],
            "evidence": header["evidence"],
            "lost": header["lost"],
        }
        self._ledger.append(KIND, header["model"], data, actor=ACTOR, key=key_of(header["segment"]))

    def _set_aside(self, segment: Segment, error: GovernanceError) -> None:
        kept = segment.path.with_name(segment.path.name.removesuffix(ENDING) + SET_ASIDE)
        segment.path.rename(kept)
        self._spool.counts.set_aside += segment.count
        log.error("%d predictions will never be in the log, their file is %s: %s", segment.count, kept, error)

    def _release(self) -> None:
        for folder in self._adopted:
            folder.release()
        if self._spool.folder is not None:
            self._spool.folder.release()


def _is_final(error: GovernanceError) -> bool:
    code = getattr(error.__cause__, "sqlstate", None) or ""
    return code.startswith(FINAL)
