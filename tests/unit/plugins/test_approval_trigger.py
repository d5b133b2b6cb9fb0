"""The approval's trigger: asks the ledger until there is an answer, and outlives the triggerer and the ledger."""

import asyncio
import logging
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.serde import deserialize, serialize

from governance_airflow.triggers import approval
from governance_airflow.triggers.approval import ApprovalTrigger
from tests.unit.plugins.airflow_task import RUN_ID

SECONDS = 30
"""How long an answer may take; the machine may be busy."""


@pytest.fixture
def ledger(office, work_on):
    """The ledger that the review desk signs into, which is the one that the trigger asks."""
    return work_on(office.ledger)


@pytest.fixture
def trigger(ledger):
    return new_trigger()


def new_trigger(**changed) -> ApprovalTrigger:
    trigger = ApprovalTrigger(
        **{"model": "loan", "run_id": RUN_ID, "role": "compliance", "poll_seconds": 0.01, **changed}
    )
    trigger._log = logging.getLogger("trigger")
    return trigger


class Waiting:
    """A trigger that runs; ``asked`` counts its questions."""

    def __init__(self, trigger) -> None:
        self.asked, self._ask = 0, trigger._ask
        trigger._ask = self._count
        self._events = trigger.run()
        self._first = asyncio.ensure_future(anext(self._events))

    def _count(self):
        answer = self._ask()
        self.asked += 1
        return answer

    async def until_asked(self, times: int) -> None:
        """Return once it has asked so many times more without firing."""
        enough = self.asked + times
        async with asyncio.timeout(SECONDS):
            while self.asked < enough:
                assert not self._first.done()
                await asyncio.sleep(0.005)

    async def event(self) -> dict:
        """Return what it fires, which must be the only thing."""
        async with asyncio.timeout(SECONDS):
            event = await self._first
            with pytest.raises(StopAsyncIteration):
                await anext(self._events)
        return event.payload

    def stop(self) -> None:
        self._first.cancel()


def event_of(trigger) -> dict:
    async def wait():
        return await Waiting(trigger).event()

    return asyncio.run(wait())


def sign_both(office) -> None:
    office.sign("maria")
    office.sign("tom")


def test_a_triggerer_makes_the_same_trigger_from_what_is_stored(ledger):
    path, arguments = ApprovalTrigger("loan", RUN_ID, "compliance", 10.0).serialize()
    again = import_string(path)(**deserialize(serialize(arguments)))

    assert type(again) is ApprovalTrigger
    assert again.serialize() == (path, arguments)
    assert arguments == {"model": "loan", "run_id": RUN_ID, "role": "compliance", "poll_seconds": 10.0}


def test_nothing_is_stored_but_names(trigger):
    assert all(isinstance(value, str | float) for value in trigger.serialize()[1].values())


def test_it_waits_while_people_may_sign_and_fires_once_they_have(trigger, office):
    async def story():
        waiting = Waiting(trigger)
        await waiting.until_asked(3)
        office.sign("maria")
        await waiting.until_asked(3)
        office.sign("tom")
        return await waiting.event()

    digest = office.waiting_attempt()
    sentence = f"Tom Okafor signed evidence {digest[:16]} as Compliance."
    assert asyncio.run(story()) == {"status": "approved", "sentence": sentence}


def test_it_fires_at_a_reject_of_any_role(trigger, office):
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")

    event = event_of(trigger)
    assert event["status"] == "denied"
    assert event["sentence"].startswith("Maria Alvarez (Model risk) rejected evidence ")


def test_it_fires_when_the_time_to_sign_is_over(trigger, office):
    office.waiting_attempt(asked=timedelta(days=-8), lasts=timedelta(days=7))

    assert event_of(trigger)["status"] == "expired"


def test_it_waits_out_an_unreachable_ledger(trigger, office, ledger):
    async def story():
        waiting = Waiting(trigger)
        await waiting.until_asked(3)
        ledger.away = False
        return await waiting.event()

    office.waiting_attempt()
    sign_both(office)
    ledger.away = True
    assert asyncio.run(story())["status"] == "approved"


def test_an_outage_is_logged_once_and_so_is_its_end(trigger, office, ledger, caplog):
    async def story():
        waiting = Waiting(trigger)
        for away in (True, False, True):
            ledger.away = away
            await waiting.until_asked(3)
        waiting.stop()

    caplog.set_level(logging.INFO)
    office.waiting_attempt()
    asyncio.run(story())
    assert [text for text in caplog.messages if "ledger" in text] == [
        "Waits for the ledger. The ledger does not answer.",
        "The ledger answers again.",
        "Waits for the ledger. The ledger does not answer.",
    ]


def test_an_outage_is_logged_as_a_warning(trigger, ledger, caplog):
    ledger.away = True

    assert trigger._ask() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_without_evidence_it_fires_and_says_so(trigger):
    assert event_of(trigger) == {
        "status": "error",
        "sentence": f"Expected evidence of run {RUN_ID}, found none: clear the judge task.",
    }


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("GOVERNANCE_LEDGER_ULR", "postgresql://", "Unknown setting"), ("GOVERNANCE_LEDGER_URL", None, "to be set")],
    ids=["typing error", "not set"],
)
def test_settings_that_cannot_be_used_are_an_answer_and_no_crash(trigger, monkeypatch, variable, value, said):
    monkeypatch.delenv(variable, raising=False)
    if value:
        monkeypatch.setenv(variable, value)

    event = event_of(trigger)
    assert event["status"] == "error"
    assert said in event["sentence"]


def test_the_triggerer_goes_on_with_other_triggers_while_the_ledger_is_slow(trigger, ledger, monkeypatch):
    asked, may_answer = threading.Event(), threading.Event()

    def slow(*_, **__):
        asked.set()
        assert may_answer.wait(SECONDS)
        return iter(())

    async def story():
        waiting = Waiting(trigger)
        async with asyncio.timeout(SECONDS):
            while not asked.is_set():  # reached only if the loop is not blocked
                await asyncio.sleep(0.005)
        may_answer.set()
        return await waiting.event()

    monkeypatch.setattr(ledger, "backwards", slow)
    assert asyncio.run(story())["status"] == "error"


def test_it_does_not_ask_at_once_what_the_task_has_just_asked(trigger, office, monkeypatch):
    happened, ask = [], trigger._ask

    async def sleep(seconds):
        happened.append(f"slept {seconds}")

    monkeypatch.setattr(approval, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    monkeypatch.setattr(trigger, "_ask", lambda: happened.append("asked") or ask())
    office.waiting_attempt()
    sign_both(office)

    event_of(trigger)
    assert happened == ["slept 0.01", "asked"]


def test_all_triggers_of_a_process_share_one_ledger(office, ledger, monkeypatch):
    opened = []
    monkeypatch.setattr("governance.ledger.log.Ledger", lambda url: opened.append(url) or ledger)
    office.waiting_attempt()
    sign_both(office)
    for role in ("compliance", "model_risk", "compliance"):
        event_of(new_trigger(role=role))

    assert opened == ["postgresql://pipeline@ledger.test/ledger"]


def test_another_address_is_another_ledger(office, ledger, monkeypatch):
    opened = []
    monkeypatch.setattr("governance.ledger.log.Ledger", lambda url: opened.append(url) or ledger)
    office.waiting_attempt()
    sign_both(office)
    for url in ("postgresql://one.test/ledger", "postgresql://two.test/ledger"):
        monkeypatch.setenv("GOVERNANCE_LEDGER_URL", url)
        event_of(new_trigger())

    assert opened == ["postgresql://one.test/ledger", "postgresql://two.test/ledger"]
