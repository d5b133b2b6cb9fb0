"""The prediction log as the scoring service sees it: hand over an answer, and say how things stand.

Handing over takes microseconds and raises nothing; the rest is done by two threads, :mod:`spool` and :mod:`delivery`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from governance.ledger.log import Ledger
from governance.predictions.database import Database
from governance.predictions.delivery import Delivery
from governance.predictions.record import Batch, Refusal
from governance.predictions.spool import Limits, Spool

FOLDER = "predictions"
"""Below the state folder."""


class PredictionLog:
    """Keeps what is predicted.

    Args:
        state: The state folder; records wait below it.
        dsn: PostgreSQL address with the serving identity's rights.
        ledger: The ledger with the same rights.
        limits: What may wait, and how long.
    """

    def __init__(self, state: Path, dsn: str, ledger: Ledger, limits: Limits | None = None) -> None:
        self.database = Database(dsn)
        self._spool = Spool(state / FOLDER, limits or Limits())
        self._delivery = Delivery(self._spool, self.database, ledger)

    def take(self, batch: Batch) -> None:
        """Take the rows of an answer, or count them as lost; called by one thread, returns at once, raises nothing."""
        self._spool.take(batch)

    def refuse(self, refusal: Refusal) -> None:
        """Count a request that was refused for its content; as :meth:`take`."""
        self._spool.refuse(refusal)

    def start(self) -> None:
        """Begin to write and to deliver."""
        self._spool.start()
        self._delivery.start()

    def stop(self) -> None:
        """Write everything to disk, deliver what can be delivered in a few seconds, and stop."""
        self._spool.stop()
        self._delivery.stop()
        self.database.close()

    def state(self) -> dict[str, Any]:
        """Say how things stand: rows that wait, that are lost, that were written, and what stands in the way."""
        counts = self._spool.counts
        state = {"waiting": counts.waiting, "lost": counts.lost, "written": counts.written}
        return {**state, "problem": self._delivery.problem}

    def metrics(self) -> Iterator[str]:
        """Yield the lines for Prometheus."""
        counts = self._spool.counts
        yield "# TYPE governance_predictions_waiting_records gauge"
        yield f"governance_predictions_waiting_records {counts.waiting}"
        yield "# TYPE governance_predictions_lost_total counter"
        yield f"governance_predictions_lost_total {counts.lost}"
        yield "# TYPE governance_predictions_written_total counter"
        yield f"governance_predictions_written_total {counts.written}"
