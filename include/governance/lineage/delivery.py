"""From the outbox to Marquez: in order, at least once, and past whatever will never be taken.

Marquez draws its graph from the order in which events arrive: an input is the version that a data set has then. So a
page of the oldest events is cut into *lanes* that share no run, job or data set, and each lane is sent one event after
the other, several lanes at once. A page is over before the next is read. What is sent again after a crash, Marquez
knows already.

An event that Marquez will never take is set aside with the reason. One that it could not take now holds its run back,
and nothing else, and is sent again after a pause that doubles. While nothing answers, everything waits.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from governance.errors import GovernanceError
from governance.lineage.marquez import AwayError, FailedEventError, Marquez, RefusedEventError
from governance.lineage.outbox import PAGE, Kept, Outbox

Json = dict[str, Any]

LANES = 4
"""Connections at once."""

LOOK_SECONDS = 1.0
LONGEST_PAUSE = 15.0
"""Between two attempts while Marquez, or the outbox, is away; the first pause is a second, and each doubles."""

FAILURES_IN_A_LANE = 3
"""So many events in a row that could not be taken end a lane's turn: it is not the events, then."""

SETTLE_EVENTS, SETTLE_SECONDS = 100, 2.0
"""What was delivered is noted so often."""

TAGS = {"PII": "Data about a person.", "SENSITIVE": "A protected attribute of a person, or what stands in for one."}
"""Tags that are set by Marquez's tag API, and what they mean."""

log = logging.getLogger("governance.lineage")


@dataclass
class Outcome:
    """What came of events.

    Attributes:
        delivered: How many Marquez took.
        refused: Number of the event → why it will never be taken.
        failed: Run → why its next event could not be taken now.
        away: Why nothing was sent any more.
    """

    delivered: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    away: str | None = None

    @property
    def moved(self) -> bool:
        """Whether anything left the outbox."""
        return bool(self.delivered or self.refused)

    def add(self, other: "Outcome") -> None:
        """Count what another page came to."""
        self.delivered += other.delivered
        self.refused |= other.refused
        self.failed, self.away = other.failed, other.away


@dataclass(frozen=True)
class _Sent:
    """What came of one event: taken where ``error`` is ``None``."""

    kept: Kept
    error: Exception | None = None


@dataclass
class _Page:
    """What the lanes of a page share: what they tell, each ``None`` at its end, and whether they are to stop."""

    told: "queue.SimpleQueue[_Sent | None]" = field(default_factory=queue.SimpleQueue)
    halt: threading.Event = field(default_factory=threading.Event)


class Delivery:
    """Delivers an outbox to one Marquez. One at a time: see :meth:`~governance.lineage.outbox.Turn.is_ours`.

    Args:
        outbox: Where events wait.
        connect: Opens a connection to Marquez.
        lanes: How many are used at once.
    """

    def __init__(self, outbox: Outbox, connect: Callable[[], Marquez], lanes: int = LANES) -> None:
        self._outbox = outbox
        self._connections = [connect() for _ in range(lanes)]
        self._free: queue.SimpleQueue[Marquez] = queue.SimpleQueue()
        for one in self._connections:
            self._free.put(one)
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lineage-lane")
        self._pauses: dict[str, tuple[float, float]] = {}  # run → until when, and how long the pause is
        self._ending = threading.Event()

    def stop(self) -> None:
        """End after the events that are being sent; may be called from a signal's handler."""
        self._ending.set()

    def close(self) -> None:
        """Close all connections."""
        self._ending.set()
        self._pool.shutdown(wait=True)
        for one in self._connections:
            one.close()

    def drain(self) -> Outcome:
        """Deliver until nothing waits, or nothing moves any more; return what came of it."""
        whole = Outcome()
        while not self._ending.is_set():
            page = self.page(ignore_pauses=True)
            whole.add(page)
            if page.away or not page.moved:
                break
        return whole

    def follow(self, ready: Callable[[], bool]) -> Outcome:
        """Deliver until :meth:`stop`, whatever happens to Marquez or to the outbox.

        Args:
            ready: Called before each page; delivers nothing where it says no. May raise what the outbox raises.
        """
        whole, pause, problem = Outcome(), LOOK_SECONDS, None
        while not self._ending.is_set():
            try:
                page = self.page() if ready() else Outcome()
                whole.add(page)
                said = page.away
            except GovernanceError as error:
                page, said = Outcome(), str(error)
            if said and said != problem:
                log.warning("Lineage waits in the outbox. %s", said)
            if problem and page.moved:
                log.info("Lineage is delivered again.")
            problem = said or (None if page.moved else problem)
            pause = min(LONGEST_PAUSE, 2 * pause) if said else LOOK_SECONDS
            if said or not page.moved:
                self._ending.wait(pause)
        return whole

    def page(self, *, ignore_pauses: bool = False) -> Outcome:
        """Deliver one page of the oldest events that wait.

        Raises:
            GovernanceError: The outbox does not answer; what was sent and not noted is sent again.
        """
        now = time.monotonic()
        waiting = set() if ignore_pauses else {run for run, (until, _) in self._pauses.items() if until > now}
        events = self._outbox.pending(PAGE, without=waiting)
        outcome, page = Outcome(), _Page()
        running = [self._pool.submit(self._send_lane, lane, page) for lane in lanes(self._parcels(events, outcome))]
        try:
            self._settle(page, len(running), outcome)
        finally:
            page.halt.set()
            while wait(running, timeout=0.05).not_done:  # what is under way ends by itself, or is cut
                self._cut_late()
        for one in running:
            one.result()
        return outcome

    def _parcels(self, events: Sequence[Kept], outcome: Outcome) -> "list[Parcel]":
        """Set aside what only looks like an event, and return the rest: one of them must not stop all others."""
        parcels = []
        for kept in events:
            try:
                parcels.append(Parcel.of(kept))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                why = f"It has not the form of an OpenLineage event: {type(error).__name__}."
                self._note_failure(_Sent(kept, RefusedEventError(why)), outcome)
        return parcels

    def _send_lane(self, lane: Sequence["Parcel"], page: "_Page") -> None:
        """Send a lane's events one after the other; no further event of a run whose event could not be taken."""
        connection, held, failures = self._free.get(), set(), 0
        try:
            for parcel in lane:
                if page.halt.is_set() or self._ending.is_set() or failures >= FAILURES_IN_A_LANE:
                    return
                if parcel.kept.run_id in held:
                    continue
                error = _send(connection, parcel)
                page.told.put(_Sent(parcel.kept, error))
                if isinstance(error, AwayError):
                    page.halt.set()
                elif isinstance(error, FailedEventError):
                    held.add(parcel.kept.run_id)
                failures = failures + 1 if isinstance(error, FailedEventError) else 0
        finally:
            page.told.put(None)
            self._free.put(connection)

    def _settle(self, page: "_Page", lanes_left: int, outcome: Outcome) -> None:
        """Note what came of events while they are sent."""
        delivered: list[int] = []
        noted = time.monotonic()
        while lanes_left:
            self._cut_late()
            with suppress(queue.Empty):
                sent = page.told.get(timeout=0.05)
                if sent is None:
                    lanes_left -= 1
                elif sent.error is None:
                    delivered.append(sent.kept.number)
                    self._pauses.pop(sent.kept.run_id or "", None)
                else:
                    self._note_failure(sent, outcome)
            if not lanes_left or len(delivered) >= SETTLE_EVENTS or time.monotonic() - noted > SETTLE_SECONDS:
                self._outbox.settle(delivered)
                outcome.delivered += len(delivered)
                delivered, noted = [], time.monotonic()

    def _note_failure(self, sent: _Sent, outcome: Outcome) -> None:
        said = str(sent.error)
        if isinstance(sent.error, RefusedEventError):
            self._outbox.settle([sent.kept.number], said)
            outcome.refused[sent.kept.number] = said
            log.error("Event %d of the outbox is set aside: %s", sent.kept.number, said)
        elif isinstance(sent.error, AwayError):
            outcome.away = said
        else:
            run = sent.kept.run_id or ""
            _, before = self._pauses.get(run, (0.0, LOOK_SECONDS / 2))
            pause = min(LONGEST_PAUSE, 2 * before)
            self._pauses[run] = (time.monotonic() + pause, pause)
            outcome.failed[run] = said
            _warn_once(f"Event {sent.kept.number} of the outbox holds its run back: {said}")

    def _cut_late(self) -> None:
        for one in self._connections:
            one.cut_if_late()


@dataclass(frozen=True)
class Parcel:
    """An event and what is in it that delivery looks at."""

    kept: Kept
    keys: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, str, str, str | None], ...]

    @classmethod
    def of(cls, kept: Kept) -> "Parcel":
        """Read an event; raises whatever a wrong shape leads to."""
        event = kept.event
        datasets = [one for side in ("inputs", "outputs") for one in event.get(side) or []]
        datasets += [event["dataset"]] if "dataset" in event else []
        run, job = event.get("run") or {}, event.get("job") or {}
        parent = (run.get("facets") or {}).get("parent") or {}
        keys: list[tuple[str, ...]] = [
            ("run", str(one["runId"])) for one in (run, parent.get("run") or {}) if "runId" in one
        ]
        keys += [("job", str(job.get("namespace")), str(job["name"]))] if "name" in job else []
        keys += [("dataset", str(one.get("namespace")), str(one.get("name"))) for one in datasets]
        return cls(kept, tuple(keys) or (("event", str(kept.number)),), tuple(_tags(datasets)))


def lanes(parcels: Sequence[Parcel]) -> list[list[Parcel]]:
    """Cut events into parts that share no run, job or data set; each part keeps their order."""
    parent: dict[tuple[str, ...], tuple[str, ...]] = {}

    def root(key: tuple[str, ...]) -> tuple[str, ...]:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for parcel in parcels:
        first, *others = parcel.keys
        for key in others:
            parent[root(key)] = root(first)
    found: dict[tuple[str, ...], list[Parcel]] = {}
    for parcel in parcels:
        found.setdefault(root(parcel.keys[0]), []).append(parcel)
    return list(found.values())


def _tags(datasets: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str | None]]:
    for one in datasets:
        for tag in ((one.get("facets") or {}).get("tags") or {}).get("tags") or []:
            if tag.get("key") in TAGS:
                column = tag.get("field")
                yield tag["key"], str(one["namespace"]), str(one["name"]), None if column is None else str(column)


def _send(connection: Marquez, parcel: Parcel) -> Exception | None:
    """Send an event and set its tags; return what went wrong."""
    try:
        connection.send(parcel.kept.text)
        for tag, namespace, name, column in parcel.tags:
            _set_tag(connection, tag, namespace, name, column)
    except (RefusedEventError, FailedEventError, AwayError) as error:
        return error
    return None


def _set_tag(connection: Marquez, tag: str, namespace: str, name: str, column: str | None) -> None:
    try:
        connection.tag(tag, TAGS[tag], namespace, name, column)
    except (RefusedEventError, FailedEventError) as error:
        # The event itself is there, and the next one of this data set brings the tag again: none waits for a tag.
        place = f"{namespace} {name}" + (f".{column}" if column else "")
        _warn_once(f"Marquez does not set the tag {tag} on {place}: {error}")


@lru_cache(10_000)
def _warn_once(said: str) -> None:
    """Say what is said again at each attempt the first time only."""
    log.warning(said)
