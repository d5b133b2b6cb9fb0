"""One question, one command: what serves, who approved it, on what evidence, and is the record whole?"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance import canonical, cli
from tests.unit.review.signed_world import MODEL, SAM

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command as an auditor would, in a terminal of the machine where the stack runs."""
    for name in [name for name in os.environ if name.startswith("GOVERNANCE_")]:
        monkeypatch.delenv(name)

    def ask(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("GOVERNANCE_ROOT", str(office.root))
        monkeypatch.setenv("GOVERNANCE_LEDGER_URL", office.database.dsn("auditor"))
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return ask


@pytest.fixture
def answer(ask: Ask) -> Callable[..., tuple[int, Any]]:
    """Run a command with ``--json``: exit code and document."""

    def answer(*arguments: str) -> tuple[int, Any]:
        code, out, error = ask(*arguments, "--json")
        assert "Traceback" not in error
        return code, json.loads(out)

    return answer


@pytest.fixture
def released(office):
    """A version that was signed, and released as the rollout records it."""
    evidence = office.candidate()
    office.decide("maria", evidence)
    office.decide("tom", evidence)
    (issued,) = office.entries("permit")
    document = evidence.data["evidence"]
    data = {
        "run_id": "run-1",
        "version": "1.0.0",
        "registry_version": 1,
        "evidence": evidence.data["digest"],
        "manifest": document["artifact"]["manifest"],
        "snapshot": document["data"]["snapshot"],
        "source": document["data"]["source"],
        "previous": None,
        "permit_expires_at": issued.data["permit"]["expires_at"],
    }
    office.database.ledger("pipeline").append("release", MODEL, data, actor=SAM, key="release")
    return evidence


class TestBeforeAnything:
    def test_nothing_serves_and_nothing_was_judged(self, answer) -> None:
        code, document = answer("live", MODEL)
        assert (code, document["live"]) == (2, None)

        code, document = answer("evidence", MODEL)
        assert (code, document["error"]["kind"]) == (1, "InputError")

    def test_an_empty_ledger_is_whole(self, answer) -> None:
        code, document = answer("ledger", "verify")

        assert (code, document["whole"], document["entries"]) == (0, True, 0)


class TestAfterARelease:
    def test_live_says_what_serves_who_approved_it_on_what_evidence_trained_on_which_data(
        self, answer, released
    ) -> None:
        code, document = answer("live", MODEL)

        serving = document["live"]
        assert code == 0
        assert serving["evidence"] == released.data["digest"]
        assert serving["snapshot"] == "1" * 64
        assert [(one["name"], one["role"]) for one in serving["signatures"]] == [
            ("Maria Alvarez", "model_risk"),
            ("Tom Okafor", "compliance"),
        ]

    def test_live_answers_for_another_moment(self, answer, released) -> None:
        before = datetime.now(UTC) - timedelta(days=1)

        assert answer("live", MODEL, "--at", before.isoformat())[0] == 2
        assert answer("live", MODEL, "--at", datetime.now(UTC).isoformat())[0] == 0
        assert answer("live", MODEL, "--at", "yesterday")[0] == 1

    def test_evidence_is_the_one_that_serves_and_its_digest_is_what_people_signed(
        self, office, answer, released
    ) -> None:
        office.candidate("1.1.0", run_id="run-2")

        code, document = answer("evidence", MODEL)

        assert (code, document["digest"]) == (0, released.data["digest"])
        assert canonical.digest(document["evidence"]) == document["digest"]
        assert {one["decision"]["evidence"] for one in document["decisions"]} == {document["digest"]}
        assert document["permit"]["evidence"] == document["digest"]

    def test_evidence_of_another_version_can_be_asked_for(self, office, answer, released) -> None:
        other = office.candidate("1.1.0", run_id="run-2")

        assert answer("evidence", MODEL, "1.1.0")[1]["digest"] == other.data["digest"]
        assert answer("evidence", MODEL, "9.9.9")[0] == 1

    def test_the_digest_alone(self, ask, answer, released) -> None:
        assert ask("evidence", MODEL, "--digest")[1] == f"{released.data['digest']}\n"
        assert answer("evidence", MODEL, "--digest")[1] == {"digest": released.data["digest"]}

    def test_models_shows_champion_permit_and_verdict(self, answer, released) -> None:
        code, document = answer("models")

        (row,) = document["models"]
        assert code == 0
        assert (row["champion"]["version"], row["verdict"]["outcome"]) == ("1.0.0", "warn")
        assert row["permit"]["evidence"] == released.data["digest"]

    @pytest.mark.parametrize("command", [["models"], ["live", MODEL], ["evidence", MODEL]])
    def test_for_people_it_is_readable_without_colour(self, ask, released, command: list[str]) -> None:
        code, out, error = ask(*command)

        assert (code, error) == (0, "")
        assert "1.0.0" in out
        assert "\x1b" not in out


class TestTheLedger:
    def test_show_lists_the_last_entries_and_one_in_full(self, ask, answer, released) -> None:
        entries = answer("ledger", "show", "--kind", "decision")[1]["entries"]
        assert [entry["kind"] for entry in entries] == ["decision", "decision"]

        assert answer("ledger", "show", str(entries[0]["seq"]))[1] == entries[0]
        assert len(answer("ledger", "show", "--limit", "2")[1]["entries"]) == 2
        assert "decision" in ask("ledger", "show")[1]
        assert answer("ledger", "show", "9999")[0] == 1

    def test_a_kind_that_is_not_there_is_an_error_that_names_those_that_are(self, answer, released) -> None:
        code, document = answer("ledger", "show", "--kind", "bogus")

        assert (code, document["error"]["kind"]) == (1, "InputError")
        assert "decision, evidence, " in document["error"]["message"]
        assert answer("ledger", "show", "--kind", "decision", "--model", "other") == (0, {"entries": []})

    def test_export_holds_every_entry_with_the_text_that_is_hashed(self, ask, answer, released, tmp_path) -> None:
        document = answer("ledger", "export")[1]
        file = tmp_path / "ledger.jsonl"

        assert ask("ledger", "export", str(file))[0] == 0
        assert [json.loads(line) for line in file.read_text().splitlines()] == document["entries"]
        assert ask("ledger", "export")[1] == file.read_text()
        first = document["entries"][0]
        assert canonical.digest_of_bytes(b"\x00" + first["body"].encode()) == first["leaf"]

    def test_a_changed_row_is_2_and_named(self, office, ask, answer, released) -> None:
        office.database.tamper("UPDATE ledger.entry SET actor = 'p-ffff' WHERE seq = 2")

        code, document = answer("ledger", "verify")
        assert (code, document["whole"], document["faults"][0]["seq"]) == (2, False, 2)
        assert "entry 2, actor" in ask("ledger", "verify")[1]

    def test_an_end_that_was_cut_off_is_found_by_the_head_that_was_noted(self, office, ask, answer, released) -> None:
        _, out, _ = ask("ledger", "verify")
        (head,) = [line.removeprefix("Head ") for line in out.splitlines() if line.startswith("Head ")]
        assert ask("ledger", "verify", "--anchor", head)[0] == 0

        office.database.tamper("DELETE FROM ledger.entry WHERE seq = (SELECT max(seq) FROM ledger.entry)")

        assert answer("ledger", "verify")[0] == 0
        assert answer("ledger", "verify", "--anchor", head)[0] == 2
        assert answer("ledger", "verify", "--anchor", "nonsense")[0] == 1
