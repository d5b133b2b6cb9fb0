"""Drift of what is asked between two daily windows: counted as it goes by, told as gauges and in the log, and no more.

The reference is what the monitor kept of it with the champion's last window (:mod:`governance.measures.drift_shapes`),
so it needs neither the training data nor the rows of the window; before a champion's first window there is none, and
nothing is told. Counts begin anew with every window that is measured, and when the process starts.

An answer never waits for it: the rows are put on a short queue, and a thread counts them. What the queue has no room
for is left out and counted as such. Memory is that of the bins and of the queue. Neighbours: ``monitor_<model>``
decides; this decides nothing. Not guaranteed: that every row is counted, or that several processes tell the same.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from governance.errors import GovernanceError
from governance.ledger.log import Ledger
from governance.measures.drift import LEVEL, MATERIAL
from governance.measures.drift_shapes import Shape
from governance.measures.drift_stream import Stream
from governance.serving.metrics import label

MOST_WAITING = 5_000
"""Rows that may wait to be counted; more are left out."""

MOST_FEATURES = 200
"""Features of one model that are counted at most."""

PAUSE = 2.0
"""Seconds between two looks at the queue."""

JUDGED_EVERY = timedelta(seconds=30)
REFERENCE_EVERY = timedelta(minutes=5)
TOLD_EVERY = timedelta(days=1)

WINDOWS_BACK = 8
"""Windows among which the last one that was measured of this champion is looked for."""

log = logging.getLogger("governance.serving")


class Version(Protocol):
    """Which version answers: the part of ``champions.Serving`` that is needed here."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def version(self) -> str:
        """Semantic version."""

    @property
    def evidence(self) -> str:
        """Digest of what was signed."""


@dataclass(frozen=True)
class Asked:
    """The rows of one request: who answered, values in the order of ``features``, and what was said."""

    version: Version
    features: Sequence[str]
    rows: Sequence[Sequence[Any]]
    predictions: Sequence[Any]
    scores: Sequence[Any]


@dataclass
class Followed:
    """What is counted of one version.

    Attributes:
        version: Which.
        window: Key of the window whose reference it is.
        streams: Column → its counts; of what the model says, the empty name.
        rows: Rows that were counted.
        moved: Column → lower end of its PSI, as of the last judgement.
        looked: When the ledger was asked for a newer window.
        judged: When ``moved`` was computed.
        told: When the log was told.
    """

    version: Version
    window: str = ""
    streams: dict[str, Stream] = field(default_factory=dict)
    rows: int = 0
    moved: dict[str, float] = field(default_factory=dict)
    looked: datetime | None = None
    judged: datetime | None = None
    told: datetime | None = None


class Live:
    """Counts what is asked of every model that this process serves.

    Args:
        ledger: Where the references are.
        now: What time it is.
        fewest: Rows without which the log is told nothing.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], datetime], fewest: int = 200) -> None:
        self._ledger, self._now, self._fewest = ledger, now, fewest
        self._queue: deque[Asked] = deque()
        self._taken = self._counted = self.left_out = 0
        self._models: dict[str, Followed] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live drift", daemon=True)

    def take(self, asked: Asked) -> None:
        """Take the rows of an answer, or leave them out; called by one thread, returns at once, raises nothing."""
        room = MOST_WAITING - (self._taken - self._counted)
        rows = len(asked.rows)
        if rows > room:
            self.left_out += rows - max(room, 0)
            if room <= 0:
                return
            asked = Asked(asked.version, asked.features, asked.rows[:room], asked.predictions, asked.scores)
        self._taken += len(asked.rows)
        self._queue.append(asked)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; nothing is kept."""
        self._ending.set()
        self._thread.join(timeout=10)

    def look(self) -> None:
        """Count what waits, and judge what is due."""
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        try:
            for of_one in _by_version(waiting):
                self._count(of_one)
        finally:
            self._counted += sum(len(one.rows) for one in waiting)
        now = self._now()
        for followed in list(self._models.values()):
            if followed.streams and (followed.judged is None or now - followed.judged >= JUDGED_EVERY):
                self._judge(followed, now)

    def metrics(self) -> Iterator[str]:
        """Yield the lines for Prometheus."""
        models = sorted(self._models.items())
        yield "# TYPE governance_live_psi_low gauge"
        for name, followed in models:
            for column, low in sorted(followed.moved.items()):
                if column:
                    yield f"governance_live_psi_low{{model={label(name)},feature={label(column)}}} {low:.6f}"
        yield "# TYPE governance_live_prediction_psi_low gauge"
        for name, followed in models:
            if "" in followed.moved:
                yield f"governance_live_prediction_psi_low{{model={label(name)}}} {followed.moved['']:.6f}"
        yield "# TYPE governance_live_rows gauge"
        for name, followed in models:
            yield f"governance_live_rows{{model={label(name)}}} {followed.rows}"
        yield "# TYPE governance_live_left_out_total counter"
        yield f"governance_live_left_out_total {self.left_out}"

    def _follow(self) -> None:
        while not self._ending.wait(PAUSE):
            try:
                self.look()
            except Exception as error:  # alerts only: whatever is wrong here, answers go on
                # Its text may hold values of a request.
                log.error("Counting what is asked failed: %s", type(error).__name__)

    def _count(self, of_one: Sequence[Asked]) -> None:
        """Count the rows of requests to one version at once, for a small array costs as much as a large one."""
        followed = self._followed(of_one[0].version)
        if not followed.streams:
            return
        features = dict(
            zip(of_one[0].features, zip(*(row for one in of_one for row in one.rows), strict=True), strict=True)
        )
        for column, stream in list(followed.streams.items()):
            try:
                stream.count(features[column] if column else _said(of_one, stream.shape.kind))
            except (KeyError, ValueError, TypeError):  # it is of another kind than the reference
                del followed.streams[column]
        followed.rows += sum(len(one.rows) for one in of_one)

    def _followed(self, version: Version) -> Followed:
        """Return what is counted of a version, beside the last window of it that was measured."""
        now, known = self._now(), self._models.get(version.name)
        if known is None or known.version.evidence != version.evidence:
            known = self._models[version.name] = Followed(version)
        if known.looked is None or now - known.looked >= REFERENCE_EVERY:
            known.looked = now
            self._refer(known)
        return known

    def _refer(self, followed: Followed) -> None:
        """Begin anew where a newer window was measured."""
        try:
            found = self._reference(followed.version)
        except GovernanceError as error:
            log.info("%s: what is asked goes on beside the reference that is known: %s", followed.version.name, error)
            return
        if found is not None and found[0] != followed.window:
            followed.window, shapes = found
            kept = [shape for shape in shapes if shape.kind != "times"][: MOST_FEATURES + 1]
            followed.streams = {shape.name: Stream(shape) for shape in kept}
            followed.rows, followed.moved, followed.judged = 0, {}, None

    def _reference(self, version: Version) -> tuple[str, list[Shape]] | None:
        for entry in self._ledger.find(kind="monitoring", subject=version.name, newest_first=True, limit=WINDOWS_BACK):
            if entry.data["champion"] != version.evidence:
                continue
            watched = self._ledger.get(entry.data["watched"])
            if watched is not None and watched.data.get("shapes"):
                return watched.key, [Shape.from_dict(one) for one in watched.data["shapes"]]
        return None

    def _judge(self, followed: Followed, now: datetime) -> None:
        followed.judged = now
        level = LEVEL / len(followed.streams)  # over all columns together
        followed.moved = {column: stream.psi_at_least(level) for column, stream in followed.streams.items()}
        moved = [column for column, low in followed.moved.items() if column and low >= MATERIAL]
        lately = followed.told is not None and now - followed.told < TOLD_EVERY
        if moved and followed.rows >= self._fewest and not lately:
            followed.told = now
            log.warning(
                "%s %s: in %s rows since the last window, %s moved beyond a PSI of %.1f, by more than chance. Nothing "
                "is decided by this: monitor_%s decides at its next window.",
                followed.version.name,
                followed.version.version,
                f"{followed.rows:,}",
                ", ".join(moved[:5]) + (f" and {len(moved) - 5} more" if len(moved) > 5 else ""),
                MATERIAL,
                followed.version.name,
            )


def _by_version(waiting: Iterable[Asked]) -> Iterable[Sequence[Asked]]:
    """Return requests with rows, put together by who answered them, in the order of the first."""
    found: dict[tuple[str, str], list[Asked]] = {}
    for one in waiting:
        if one.rows:
            found.setdefault((one.version.name, one.version.evidence), []).append(one)
    return found.values()


def _said(of_one: Sequence[Asked], kind: str) -> Sequence[Any]:
    """Return what the model says: its answers where these are counted by value, else its scores."""
    return [value for one in of_one for value in (one.predictions if kind == "values" else one.scores)[: len(one.rows)]]
