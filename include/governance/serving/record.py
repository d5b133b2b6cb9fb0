"""What the scoring service says in the ledger: what it began to serve, and what it refused.

Serving does not wait for the ledger. Where it is away, entries are kept in memory, in order, and written when it is
back; a process that ends before that loses them, and says so in its log.
"""

import logging
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

from governance import canonical
from governance.errors import GovernanceError, UnavailableError
from governance.ledger.log import Ledger

ACTOR = "serving"
KEPT = 1_000
"""Entries that are kept at most; the oldest go first."""

log = logging.getLogger("governance.serving")


@dataclass(frozen=True)
class Note:
    """An entry that is still to be written."""

    kind: str
    subject: str
    data: dict[str, Any]
    key: str


class Record:
    """Notes to the ledger, written as soon as it answers. Used by one thread.

    Args:
        ledger: The ledger with the serving identity's rights, or ``None`` to write to the log only.
    """

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._waiting: deque[Note] = deque(maxlen=KEPT)
        self._instance = uuid.uuid4().hex[:12]
        self._served = 0
        self._said: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many entries are still to be written."""
        return len(self._waiting)

    def served(self, model: str, data: dict[str, Any]) -> None:
        """Note that a version began to serve."""
        self._served += 1
        log.info("%s: version %s serves, evidence %s", model, data["version"], data["evidence"])
        self._note(Note("served", model, data, f"served:{self._instance}:{self._served}"))

    def refused(self, model: str, data: dict[str, Any]) -> None:
        """Note a refusal; the same one again is not noted twice by this process."""
        key = f"refused:{self._instance}:{model}:{canonical.digest(data)[:24]}"
        if key in self._said:
            return
        self._said.add(key)
        log.warning("%s: version %s refused: %s", model, data["registry_version"], data["reason"])
        self._note(Note("refused", model, data, key))

    def flush(self) -> None:
        """Write what waits, in order; stop at the first that cannot be written now."""
        while self._waiting and self._ledger is not None:
            note = self._waiting[0]
            try:
                self._ledger.append(note.kind, note.subject, note.data, actor=ACTOR, key=note.key)
            except UnavailableError as error:
                log.warning("The ledger does not answer, %d entries wait: %s", len(self._waiting), error)
                return
            except GovernanceError as error:  # it will never take this one; the others must not wait for it
                log.error("The ledger refused the entry %s: %s", note.key, error)
            self._waiting.popleft()

    def _note(self, note: Note) -> None:
        if self._ledger is not None:
            self._waiting.append(note)
            self.flush()
