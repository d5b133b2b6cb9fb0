"""Lineage as a gate: what this run's tasks said, walked back from what they made.

What a task says reaches the outbox a moment after it ended, while the next one begins already; so whoever asks waits
for what is missing, up to a deadline, and then says what it misses.
"""

import contextlib
import time
from collections.abc import Sequence
from contextlib import closing

from governance.errors import GovernanceError, RefusedError
from governance.ledger.log import Entry
from governance.lineage.graph import Graph, Node
from governance.lineage.keep import Keeper
from governance.lineage.outbox import Outbox
from governance.lineage.trace import Trace, trace
from governance.pipeline import datasets
from governance.pipeline.run import Run
from governance.records import Dataset

LATE_SECONDS = 30.0
"""How long after a task's end its lineage may arrive; it takes a second or two where nothing is wrong."""

LOOK_SECONDS = 0.5


def traced(run: Run, candidate: Entry) -> Trace:
    """Walk back from a candidate to raw data.

    Raises:
        UnavailableError: The outbox does not answer; nothing is measured.
    """
    made = datasets.model_version(run.model, candidate.data["manifest"])
    return _trace(run, made, candidate.data["features"])


def require_whole(run: Run, dataset: Dataset) -> None:
    """Refuse to go on where the way back from a data set is broken.

    Raises:
        RefusedError: Names every link that is missing.
        UnavailableError: The outbox does not answer.
    """
    found = _trace(run, dataset, ())
    if not found.is_complete:
        raise RefusedError(
            f"Expected lineage of {run.model} {run.version} that is whole back to raw data, found links missing: "
            f"{' '.join(found.missing)} Nothing was released. Look into the log of the task that is silent; when it "
            f"speaks, clear it and this one."
        )


def _trace(run: Run, dataset: Dataset, features: Sequence[str]) -> Trace:
    start = Node(dataset.namespace, dataset.name, dataset.facets["version"]["datasetVersion"])
    _collect(run)
    deadline = time.monotonic() + LATE_SECONDS
    with closing(Outbox(run.settings.require("ledger_url"))) as outbox:
        while True:
            data = run.spec.data
            found = trace(Graph(outbox), start, features, use=run.spec.use or "", declared=data.purposes)
            if found.is_complete or time.monotonic() > deadline:
                return found
            time.sleep(LOOK_SECONDS)  # bounded by the deadline


def _collect(run: Run) -> None:
    """Bring in what waits on this machine's disk; where that fails, the walk says what is missing."""
    with contextlib.suppress(GovernanceError):
        keeper = Keeper.of(run.settings)
        with closing(keeper.outbox):
            keeper.collect()
