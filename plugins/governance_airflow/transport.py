"""Where Airflow's OpenLineage events go: to our durable outbox, and from there to Marquez.

Named by its class path in ``AIRFLOW__OPENLINEAGE__TRANSPORT``, so every event of every process goes through here: tasks
that start, succeed, fail or are skipped, and the runs of DAGs, which the scheduler tells. What names a person is taken
out on the way (:mod:`governance.lineage.redaction`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attr
from openlineage.client.serde import Serde
from openlineage.client.transport.transport import Config, Transport

if TYPE_CHECKING:
    from openlineage.client.client import Event

    from governance.lineage.keep import Keeper


@attr.define
class OutboxConfig(Config):
    """Nothing to configure: the outbox is in the ledger's database, and the environment says where that is."""


class OutboxTransport(Transport):
    """Keeps every event in the outbox; on this machine's disk while the outbox cannot be reached."""

    kind = "outbox"
    config_class = OutboxConfig

    def __init__(self, config: OutboxConfig) -> None:
        self._keeper: Keeper | None = None

    def emit(self, event: Event) -> None:
        """Keep an event, within half a second."""
        from governance.lineage.redaction import redacted

        if self._keeper is None:
            from governance.lineage.keep import Keeper
            from governance.settings import load_settings

            self._keeper = Keeper.of(load_settings())
        self._keeper.keep(redacted(Serde.to_json(event)))
