"""Keeping an event: in the outbox, on disk while the outbox is away, once, and never slowly."""

import socket
import threading
import time

import pytest

from governance.lineage.keep import Keeper
from governance.lineage.outbox import Outbox
from governance.lineage.spool import Spool
from tests.integration.lineage.conftest import event

PATIENT = 10.0
"""Seconds that a busy machine may take where speed is not what is looked at."""

NOWHERE = "postgresql://pipeline:word@127.0.0.1:1/governance"


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def keeper(outbox, spool):
    return Keeper(outbox, spool, PATIENT)


@pytest.fixture
def away(spool):
    return Keeper(Outbox(NOWHERE), spool)


@pytest.fixture
def mute():
    """An address where a server takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield f"postgresql://pipeline:word@127.0.0.1:{server.getsockname()[1]}/governance"


def texts(outbox):
    return [kept.text for kept in outbox.events()]


def test_an_event_goes_to_the_outbox_and_leaves_nothing_on_disk(keeper, outbox, spool):
    keeper.keep(event_ := event())
    assert texts(outbox) == [event_]
    assert spool.waiting() == []


def test_an_event_waits_on_disk_while_the_outbox_is_away_and_is_collected_first_and_once(keeper, away, outbox, spool):
    before, later = [event(), event()], event()
    for one in before:
        away.keep(one)
    assert len(spool.waiting()) == 2
    keeper.keep(later)
    assert texts(outbox) == [*before, later]
    assert spool.waiting() == []


def test_two_that_collect_at_once_keep_each_event_once(outbox_as, away, outbox, spool):
    events = [event() for _ in range(30)]
    for one in events:
        away.keep(one)
    keepers = [Keeper(outbox_as("pipeline"), spool, PATIENT) for _ in range(4)]
    threads = [threading.Thread(target=keeper.collect) for keeper in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(outbox)) == sorted(events)
    assert spool.waiting() == []


@pytest.mark.parametrize("address", [NOWHERE, "mute"], ids=["refused", "hangs"])
def test_no_outbox_holds_a_task_up_by_a_second_for_its_two_events(address, mute, spool):
    keeper = Keeper(Outbox(mute if address == "mute" else address), spool)
    began = time.monotonic()
    keeper.keep(event())
    keeper._away_until = 0.0  # as in the next fork, which knows nothing of this one
    keeper.keep(event())
    assert time.monotonic() - began < 1.0
    assert len(spool.waiting()) == 2


def test_a_process_that_found_the_outbox_away_does_not_ask_at_every_event(mute, spool):
    keeper = Keeper(Outbox(mute), spool)
    keeper.keep(event())
    began = time.monotonic()
    for _ in range(20):
        keeper.keep(event())
    assert time.monotonic() - began < 0.4
    assert len(spool.waiting()) == 21


def test_a_login_that_may_not_append_leaves_the_event_to_one_that_may(outbox_as, keeper, outbox, spool):
    Keeper(outbox_as("auditor"), spool, PATIENT).keep(first := event())
    assert texts(outbox) == []
    assert keeper.collect() == 1
    assert texts(outbox) == [first]


def test_what_is_no_event_is_set_aside_and_stands_in_nobodys_way(keeper, outbox, spool):
    spool.put("half an ev")
    spool.put(good := event())
    keeper.keep(own := event())
    assert texts(outbox) == [good, own]
    assert spool.waiting() == []
    assert len(list(spool.folder.glob("*.refused"))) == 1


def test_a_nul_in_an_event_loses_no_event(keeper, outbox):
    keeper.keep(event(job="a\x00b"))
    assert [kept.event["job"]["name"] for kept in outbox.events()] == ["a\ufffdb"]


def test_a_file_that_a_crash_left_half_written_is_not_collected(keeper, outbox, spool):
    spool.folder.mkdir(parents=True)
    (spool.folder / "00000000000000000001-a.draft").write_text('{"eventTi')
    assert keeper.collect() == 0
    assert texts(outbox) == []
