"""What the scoring service knows of stops, and goes on knowing while the ledger is away."""

from datetime import UTC, datetime

import pytest

from governance.errors import UnavailableError
from governance.ledger.log import Entry
from governance.serving.stops import Stops


class Ledger:
    """Entries in a list; ``away`` makes it answer nothing."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.away = False
        self.asked = 0

    def add(self, kind: str, model: str = "loan", evidence: str | None = "a") -> None:
        seq = len(self.entries) + 1
        data = {"evidence": evidence, "reason": "It denies everybody.", "previous": None}
        self.entries.append(
            Entry(seq, kind, model, "p-1", f"{kind}:{seq}", datetime.now(UTC), data, "pipeline", "", "")
        )

    def find(self, kind: str, subject: str | None = None, after: int = 0) -> list[Entry]:
        self.asked += 1
        if self.away:
            raise UnavailableError("The ledger does not answer.")
        return [e for e in self.entries if e.kind == kind and subject in (None, e.subject) and e.seq > after]

    def backwards(self, kind: str, subject: str) -> list[Entry]:
        return self.find(kind, subject)[::-1]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def look(found: Stops) -> list[str]:
    found.look()
    return list(found.halts)


def test_a_stop_is_known_until_something_is_brought_back(ledger):
    found = Stops(ledger)
    assert look(found) == []

    ledger.add("stop")
    ledger.add("stop", "wage")
    assert look(found) == ["loan", "wage"]
    ledger.add("resume", evidence="b")
    assert look(found) == ["loan", "wage"]
    assert found.halts["loan"].lifted == {"b"}
    ledger.add("release", evidence="b")
    assert look(found) == ["wage"]


def test_a_model_that_was_brought_back_can_be_stopped_again(ledger):
    found = Stops(ledger)
    for kind in ("stop", "release"):
        ledger.add(kind)
    assert look(found) == []

    ledger.add("stop")
    assert look(found) == ["loan"]


def test_while_the_ledger_is_away_what_was_known_holds_and_it_is_left_alone_for_a_while(ledger, monkeypatch):
    found = Stops(ledger)
    ledger.add("stop")
    look(found)
    ledger.away, asked = True, ledger.asked

    assert [look(found) for _ in range(3)] == [["loan"]] * 3
    assert ledger.asked == asked + 1
    ledger.away = False
    ledger.add("release")
    monkeypatch.setattr(found, "_ask_from", 0.0)
    assert look(found) == []


def test_where_only_models_that_were_stopped_are_asked_about_a_look_costs_one_question(ledger):
    found = Stops(ledger)
    look(found)

    assert ledger.asked == 1


def test_a_service_without_a_ledger_knows_of_none():
    assert look(Stops(None)) == []
