"""The server is killed with -9 in the middle of appends: nothing that was acknowledged is lost, nothing comes twice.

This does not test the loss of power: the operating system keeps what was written but not synced. It does catch an
acknowledgement that does not wait for PostgreSQL's log, which lives in the server's own memory until then.
"""

import threading
from contextlib import closing

import pytest
from independent_verifier import complaints

from governance.errors import UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.ledger.verify import verify

pytestmark = pytest.mark.integration

WRITERS = 6
KILLS = 3


class Writers:
    """Threads that append until they are told to stop, and remember what was acknowledged."""

    def __init__(self, dsn: str) -> None:
        self.acknowledged: list[Entry] = []
        self.unavailable = 0
        self._dsn = dsn
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, acknowledged: int) -> None:
        deadline = threading.Event()
        timer = threading.Timer(60, deadline.set)
        timer.start()
        while len(self.acknowledged) < acknowledged and not deadline.is_set():
            self._stop.wait(0.01)
        timer.cancel()
        assert len(self.acknowledged) >= acknowledged

    def _write(self, writer: int) -> None:
        with closing(Ledger(self._dsn)) as ledger:
            number = 0
            while not self._stop.is_set():
                try:
                    self.acknowledged.append(ledger.append("run", "loan", {}, actor="p", key=f"{writer}-{number}"))
                except UnavailableError:
                    # As a task that is retried: the same key once more.
                    self.unavailable += 1
                    self._stop.wait(0.05)
                else:
                    number += 1


@pytest.mark.slow
def test_a_killed_server_loses_no_acknowledged_entry(database):
    with Writers(database.dsn("pipeline")) as writers:
        for _ in range(KILLS):
            writers.wait_for(len(writers.acknowledged) + 60)
            database.server.kill()
            database.server.start()
        writers.wait_for(len(writers.acknowledged) + 60)

    recorded = {entry.seq: entry for entry in database.ledger().find()}
    report = verify(database.ledger("auditor"))
    assert writers.unavailable
    assert report.whole, report.faults
    assert complaints(database.dsn("auditor")) == {}
    assert [entry for entry in writers.acknowledged if recorded[entry.seq].chain != entry.chain] == []
    assert len(writers.acknowledged) == len({entry.key for entry in writers.acknowledged})
    # Whatever was retried was recorded once; only each writer's very last try may be there unacknowledged.
    assert len(recorded) <= len(writers.acknowledged) + WRITERS


def test_an_idle_connection_survives_a_restart_of_the_server(database):
    ledger = database.ledger()
    ledger.append("run", "loan", {}, actor="p", key="before")
    database.server.kill()
    database.server.start()

    assert ledger.append("run", "loan", {}, actor="p", key="after").seq == 2
    assert [entry.key for entry in ledger.find()] == ["before", "after"]


def test_a_killed_server_is_unavailable_and_says_that_nothing_was_recorded(database):
    ledger = database.ledger()
    ledger.ping()
    database.server.kill()
    try:
        with pytest.raises(UnavailableError, match="Nothing was recorded"):
            ledger.append("run", "loan", {}, actor="p", key="k")
    finally:
        database.server.start()

    assert ledger.append("run", "loan", {}, actor="p", key="k").created
