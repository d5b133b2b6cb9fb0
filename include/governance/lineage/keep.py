"""Keep an event, and never make a task wait for it: in the outbox, or on disk while the outbox cannot be reached.

Writing to the outbox gets :data:`SECONDS`, name look-up, connection and all; then the event goes to the spool. A writer
that answers later does no harm, for an event is kept once. So a task, which emits two events, is never held up by a
second, whatever the database does. A process that found it away asks again after :data:`AWAY_SECONDS`.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from governance.errors import GovernanceError, InputError
from governance.lineage.outbox import Outbox
from governance.lineage.spool import Spool
from governance.settings import Settings

SECONDS = 0.4
"""How long the outbox may take."""

AWAY_SECONDS = 5.0
"""How long a process does without an outbox that it could not reach."""

AT_ONCE = 100
"""Spooled events that are collected in one call; what is left is collected with the next."""

log = logging.getLogger("governance.lineage")


class Keeper:
    """Keeps events. One for a process; safe to share between threads.

    Args:
        outbox: The outbox, with the rights of this process's identity.
        spool: The spool of this machine.
        seconds: How long the outbox may take.
    """

    def __init__(self, outbox: Outbox, spool: Spool, seconds: float = SECONDS) -> None:
        self.outbox, self.spool, self._seconds = outbox, spool, seconds
        self._away_until = float("-inf")

    @classmethod
    def of(cls, settings: Settings) -> "Keeper":
        """Return the keeper of a process with these settings."""
        return cls(Outbox(settings.require("ledger_url")), Spool(spool_of(settings)))

    def keep(self, text: str) -> None:
        """Keep an event: an OpenLineage event as JSON.

        Raises:
            OSError: The outbox cannot be reached and the disk cannot be written to: the event is lost.
        """
        text = text.replace("\\u0000", "\\ufffd")  # PostgreSQL has no NUL; who wrote one into an event meant nothing
        if time.monotonic() < self._away_until or not self._within_time(lambda: self._append(text)):
            self.spool.put(text)

    def collect(self) -> int:
        """Bring what waits on this machine's disk into the outbox; return how many events that was.

        Raises:
            GovernanceError: The outbox cannot be reached, or this login may not; everything waits on.
        """
        done = 0
        while paths := self.spool.waiting():
            done += self._collect(paths[:AT_ONCE])
        return done

    def _append(self, text: str) -> None:
        # What waits on disk happened before, and is kept before.
        waiting = self.spool.waiting()
        if waiting:
            self._collect(waiting[:AT_ONCE])
        self.outbox.append([text])

    def _collect(self, paths: list[Path]) -> int:
        found = list(self.spool.read(paths))
        try:
            self.outbox.append([text for _, text in found])
            done = [path for path, _ in found]
        except InputError:
            done = [path for path, text in found if self._is_kept(path, text)]
        self.spool.remove(done)
        return len(done)

    def _is_kept(self, path: Path, text: str) -> bool:
        try:
            self.outbox.append([text])
        except InputError as error:
            log.error("An event of lineage is set aside in %s: %s", self.spool.set_aside(path), error)
            return False
        return True

    def _within_time(self, act: Callable[[], None]) -> bool:
        """Whether ``act`` came to its end in time."""
        ended: list[BaseException | None] = []

        def run() -> None:
            try:
                act()
                ended.append(None)
            except BaseException as error:  # told below, or by nobody: the thread may outlast who waits
                ended.append(error)

        thread = threading.Thread(target=run, name="lineage-outbox", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if ended and ended[0] is None:
            return True
        error = ended[0] if ended else None
        if error is not None and not isinstance(error, GovernanceError):
            raise error
        said = error or f"Expected the lineage outbox to answer within {self._seconds} s, found that it does not."
        log.warning("Lineage waits on disk, in %s: %s", self.spool.folder, said)
        self._away_until = time.monotonic() + AWAY_SECONDS
        return False


def spool_of(settings: Settings) -> Path:
    """Return the folder in which this machine's events wait for the outbox."""
    return settings.state / "lineage" / "spool"
