"""Which models were stopped, as the ledger has it: asked at every look, so that a stop holds whatever an alias says.

A stop that was seen is remembered until the ledger says that it is over. While the ledger is away, what was known last
holds, and the mark that a stop leaves in MLflow (:mod:`governance.release.stop`). It is then asked again after a pause,
for a database that does not even refuse would keep the looks waiting.
"""

import logging
import time
from collections.abc import Mapping

from governance.errors import GovernanceError
from governance.ledger.log import Entry, Ledger
from governance.review import entries
from governance.review.entries import Halt

PAUSE_SECONDS = 10.0
"""How long a ledger that did not answer is left alone."""

log = logging.getLogger("governance.serving")


class Stops:
    """Follows the stops in the ledger. Used by one thread.

    Args:
        ledger: The ledger, or ``None`` where this service has none.
    """

    def __init__(self, ledger: Ledger | None) -> None:
        self.halts: Mapping[str, Halt] = {}
        self._ledger = ledger
        self._seen = 0
        self._ask_from = 0.0
        self._stopped: dict[str, Entry] = {}

    def look(self) -> None:
        """Look at the ledger; where it does not answer, what is known stays."""
        if self._ledger is None or time.monotonic() < self._ask_from:
            return
        try:
            for entry in self._ledger.find(kind="stop", after=self._seen):
                self._stopped[entry.subject], self._seen = entry, entry.seq
            found = {model: entries.halt_of(self._ledger, model) for model in self._stopped}
        except GovernanceError as error:
            self._ask_from = time.monotonic() + PAUSE_SECONDS
            log.warning("Whether a model was stopped cannot be asked, what was known holds: %s", error)
            return
        self.halts = {model: halt for model, halt in found.items() if halt is not None}
        self._stopped = {model: self._stopped[model] for model in self.halts}
