"""The review desk on a real ledger: who may decide, what is recorded, and when a permit follows."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.errors import GovernanceError, InputError, MayNotSignError, RefusedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.review import permit
from governance.review.desk import ReviewDesk
from tests.unit.review.signed_world import BAD, MARIA, MODEL, PEOPLE, POLICY, SPEC, TIER, TOM, World

Office = Any  # the fixture's class lives in conftest, which is not imported


@pytest.fixture
def waiting(office: Office):
    """A candidate that waits for Model risk and Compliance."""
    return office.candidate()


class TestARequest:
    def test_says_what_waits_for_whom(self, office: Office, waiting) -> None:
        request = office.desk.request(MODEL, "1.0.0")

        assert (request.status, request.digest, request.attempt) == ("pending", waiting.data["digest"], 1)
        assert {role.title: (role.needed, role.complete) for role in request.roles} == {
            "Model risk": (1, False),
            "Compliance": (1, False),
        }
        assert request.checklist == ["I read it.", "I mean it."]
        assert request.ledger_range == (1, 2)

    def test_names_those_who_could_sign_and_nobody_who_was_involved(self, office: Office, waiting) -> None:
        eligible = {role.role: set(role.eligible) for role in office.desk.request(MODEL, "1.0.0").roles}

        assert eligible == {
            "model_risk": {"Maria Alvarez", "Mark Moss", "Bea Both"},
            "compliance": {"Cleo Clearer", "Tom Okafor", "Ines Marchetti", "Bea Both"},
        }

    def test_is_the_last_attempt_of_its_version_unless_another_is_asked_for(self, office: Office) -> None:
        first = office.candidate(measurements=BAD)
        second = office.candidate(attempt=2, replaces={"evidence": first.data["digest"], "registry_version": 1})
        desk = office.desk

        assert desk.request(MODEL, "1.0.0").digest == second.data["digest"]
        assert desk.request(MODEL, "1.0.0", attempt=1).status == "blocked"
        assert desk.request(MODEL, "1.0.0").blocked.digest == first.data["digest"]

    def test_of_a_version_that_nobody_judged_is_an_error(self, office: Office, waiting) -> None:
        with pytest.raises(InputError, match=r"evidence of card 9\.9\.9 in the ledger, found none\. Run govern_card\."):
            office.desk.request(MODEL, "9.9.9")


class TestApproving:
    def test_both_roles_make_a_permit_that_verifies(self, office: Office, waiting) -> None:
        assert office.decide("maria", waiting).status == "pending"
        assert office.entries("permit") == []

        assert office.decide("tom", waiting).status == "approved"

        verified = permit.verify(office.bundle(waiting), office.world.keys, "production", datetime.now(UTC))
        assert [one.decision["person"] for one in verified.decisions] == [MARIA, TOM]
        assert verified.evidence_digest == waiting.data["digest"]

    def test_a_decision_is_recorded_as_an_entry_of_that_person(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)

        (entry,) = office.entries("decision")
        assert (entry.actor, entry.writer, entry.subject) == (MARIA, "review", MODEL)
        assert entry.data["decision"]["confirmed"] == ["I read it.", "I mean it."]

    def test_one_person_with_two_roles_signs_once(self, office: Office, waiting) -> None:
        office.decide("bea", waiting, role="compliance")

        with pytest.raises(MayNotSignError, match="You have decided already: nobody decides twice"):
            office.decide("bea", waiting, role="model_risk")
        assert office.status(waiting) == "pending"

    def test_a_role_that_has_signed_needs_nobody_else(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)

        with pytest.raises(MayNotSignError, match="Your role has signed already: nothing is missing from it"):
            office.decide("mark", waiting)

    def test_a_role_that_is_not_open_to_a_person_is_refused(self, office: Office, waiting) -> None:
        with pytest.raises(MayNotSignError, match=r"may not sign as compliance\. Open to you: model_risk"):
            office.decide("maria", waiting, role="compliance")


class TestRefusing:
    @pytest.mark.parametrize(
        ("login", "actors", "told"),
        [
            ("dana", {}, "You trained this model: you may not sign it. You are a developer in models/card/model.yaml."),
            ("ada", {}, "You changed this model's folder, policy or roles: you may not sign it. You wrote commit"),
            ("sam", {}, "You started this run: you may not sign it."),
            ("cleo", {"cleo": ["cleared"]}, "You cleared this run: you may not sign it."),
            ("tom", {"tom": ["patched"]}, "You patched this run: you may not sign it."),
            ("olga", {}, "Model risk and Compliance sign this: you hold neither role."),
            ("eve", {}, "You are not in people.yaml: you may read, not sign. Your login is eve."),
        ],
    )
    def test_says_the_rule_and_the_fact_and_records_nothing(
        self, office: Office, waiting, login: str, actors: dict, told: str
    ) -> None:
        with pytest.raises(MayNotSignError) as caught:
            office.decide(login, waiting, run_actors=actors)

        assert str(caught.value).startswith(told)
        assert office.entries("decision") == []

    def test_over_another_digest_than_the_one_on_the_screen(self, office: Office, waiting) -> None:
        with pytest.raises(RefusedError, match=r"the evidence changed while you read it.*On your screen ffffffff"):
            office.decide("maria", waiting, evidence="f" * 64)

    def test_over_an_attempt_that_another_one_replaced(self, office: Office, waiting) -> None:
        office.candidate(attempt=2)

        with pytest.raises(RefusedError, match="the evidence changed while you read it"):
            office.decide("maria", waiting)

    def test_without_every_point_of_the_checklist(self, office: Office, waiting) -> None:
        with pytest.raises(InputError, match=r"Confirm 1 more point to approve: I mean it\."):
            office.decide("maria", waiting, confirmed=["I read it."])

    def test_a_word_that_is_neither_approve_nor_reject(self, office: Office, waiting) -> None:
        with pytest.raises(InputError, match="approve or reject, found 'maybe'"):
            office.decide("maria", waiting, "maybe")

    def test_a_point_that_is_not_on_the_checklist(self, office: Office, waiting) -> None:
        with pytest.raises(InputError, match="found another: 'anything'"):
            office.decide("maria", waiting, confirmed=["I read it.", "I mean it.", "anything"])

    def test_a_person_with_two_open_roles_who_does_not_say_in_which(self, office: Office, waiting) -> None:
        with pytest.raises(InputError, match="Say in which role you sign: model_risk, compliance"):
            office.decide("bea", waiting)

    @pytest.mark.parametrize("comment", ["", "  \n"])
    def test_a_reject_without_a_comment(self, office: Office, waiting, comment: str) -> None:
        with pytest.raises(InputError, match="A reject needs a comment"):
            office.decide("maria", waiting, "reject", comment=comment)

    def test_what_the_policy_stops(self, office: Office) -> None:
        blocked = office.candidate(measurements=BAD)

        with pytest.raises(RefusedError, match=r"card 1\.0\.0 is blocked already"):
            office.decide("maria", blocked)

    def test_what_nobody_signed_in_time(self, office: Office) -> None:
        late = office.candidate(lasts=timedelta(seconds=-1))

        assert office.status(late) == "expired"
        with pytest.raises(RefusedError, match=r"card 1\.0\.0 is expired already"):
            office.decide("maria", late)

    def test_in_a_process_without_the_review_key(self, office: Office, waiting) -> None:
        desk = office.desk
        keyless = ReviewDesk(desk.settings, desk.ledger, desk.keys, None)

        with pytest.raises(GovernanceError, match="no review key: decisions are taken in Airflow's API server only"):
            keyless.decide(
                login="maria", model=MODEL, version="1.0.0", evidence="", answer="approve", confirmed=[], comment=""
            )


class TestRejecting:
    def test_one_reject_ends_it(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)

        assert office.decide("tom", waiting, "reject").status == "denied"
        with pytest.raises(RefusedError, match="is denied already"):
            office.decide("ines", waiting)
        assert office.entries("permit") == []


class TestFilesThatChanged:
    """What is signed is bound to the files that were in force when it was judged."""

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            (f"models/{MODEL}/policy.yaml", POLICY + "minimum_n: 10\n", "the policy changed"),
            ("policies/high.yaml", TIER + "# x\n", "the policy changed"),
            ("people.yaml", PEOPLE + "# x\n", "people.yaml changed"),
            (f"models/{MODEL}/model.yaml", SPEC + "# x\n", "model.yaml changed"),
        ],
    )
    def test_nobody_signs_what_was_judged_under_others(
        self, office: Office, waiting, name: str, text: str, told: str
    ) -> None:
        office.write(name, text)

        with pytest.raises(RefusedError, match=f"Not signed: {told} since this evidence was written"):
            office.decide("maria", waiting)

    def test_signatures_under_the_old_files_do_not_count_for_new_ones(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)
        office.write("people.yaml", PEOPLE + "# x\n")

        assert office.desk.request(MODEL, "1.0.0").decisions == []

    def test_a_permit_stands_when_they_change_later(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)
        office.decide("tom", waiting)
        office.write("people.yaml", PEOPLE + "# x\n")

        request = office.desk.request(MODEL, "1.0.0")
        assert request.status == "approved"
        assert [one.person for one in request.decisions] == [MARIA, TOM]


class TestTheLedgerDecides:
    def test_a_decision_that_the_review_key_did_not_sign_is_none(self, office: Office, waiting) -> None:
        forged = World().decision(waiting.data["evidence"], MARIA, "model_risk")
        office.database.ledger("review").append("decision", MODEL, forged.to_dict(), actor=MARIA, key="forged")

        assert office.desk.request(MODEL, "1.0.0").decisions == []
        assert office.decide("maria", waiting).status == "pending"

    def test_the_pipeline_cannot_write_a_decision(self, office: Office, waiting) -> None:
        signed = office.world.decision(waiting.data["evidence"], MARIA, "model_risk")

        with pytest.raises(RefusedError, match="refused to append the decision entry"):
            office.database.ledger("pipeline").append("decision", MODEL, signed.to_dict(), actor=MARIA, key="x")

    def test_whoever_clears_the_run_after_signing_makes_the_signature_worthless(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)

        with pytest.raises(RefusedError, match="Maria Alvarez, who signed as Model risk, cleared this run"):
            office.decide("tom", waiting, run_actors={"maria": ["cleared"]})
        assert office.entries("permit") == []
        assert office.status(waiting) == "pending"

    def test_the_history_of_the_desks_own_checkout_says_who_wrote_the_code(self, office: Office, waiting) -> None:
        office.commit("maria@bank.example")
        office.write(f"models/{MODEL}/train.py", "# changed\n")
        office.commit("maria@bank.example")

        with pytest.raises(MayNotSignError, match="The history of the checkout says so"):
            office.decide("maria", waiting)
        assert office.entries("decision") == []

    def test_a_desk_without_history_takes_no_decision_where_the_policy_blocks_on_that(
        self, office: Office, waiting
    ) -> None:
        shutil.rmtree(office.root / ".git")

        with pytest.raises(RefusedError, match="has no history"):
            office.decide("maria", waiting)

    def test_a_permit_that_could_not_be_written_is_written_when_the_same_person_approves_again(
        self, office: Office, waiting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office.decide("maria", waiting)
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "append", _without_permits(Ledger.append))
            with pytest.raises(UnavailableError):
                office.decide("tom", waiting)
        assert (office.status(waiting), len(office.entries("decision"))) == ("pending", 2)

        assert office.decide("tom", waiting).status == "approved"
        assert len(office.entries("decision")) == 2
        assert len(office.entries("permit")) == 1

    def test_a_comment_is_kept_apart_and_can_be_erased(self, office: Office, waiting) -> None:
        office.decide("maria", waiting, comment="Ring Mr Miller first.")
        (entry,) = office.entries("decision")

        assert b"Miller" not in entry.body
        assert office.desk.request(MODEL, "1.0.0").decisions[0].comment == "Ring Mr Miller first."

        office.database.ledger("review").erase(entry.data["decision"]["comment"]["id"])
        request = office.desk.request(MODEL, "1.0.0")
        assert (request.decisions[0].comment, request.status) == (None, "pending")


def _without_permits(append: Callable[..., Entry]) -> Callable[..., Entry]:
    def refuse(ledger: Ledger, kind: str, *arguments: Any, **named: Any) -> Entry:
        if kind == "permit":
            raise UnavailableError("The ledger went away.")
        return append(ledger, kind, *arguments, **named)

    return refuse


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Make all calls at the same time; return what came of each, an error included."""

    def attempt(call: Callable[[], object]) -> object:
        try:
            return call()
        except GovernanceError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(attempt, calls))


class TestAtTheSameTime:
    def test_the_two_last_signatures_make_one_permit(self, office: Office, waiting) -> None:
        at_once(lambda: office.decide("maria", waiting), lambda: office.decide("tom", waiting))

        assert office.status(waiting) == "approved"
        assert len(office.entries("permit")) == 1
        assert permit.verify(office.bundle(waiting), office.world.keys, "production", datetime.now(UTC))

    def test_one_person_in_two_windows_decides_once(self, office: Office, waiting) -> None:
        found = at_once(*[lambda: office.decide("maria", waiting)] * 6)

        assert len(office.entries("decision")) == 1
        assert sum(not isinstance(one, GovernanceError) for one in found) == 1

    def test_a_reject_beside_the_last_approval_leaves_one_of_the_two_truths(self, office: Office, waiting) -> None:
        office.decide("maria", waiting)

        at_once(lambda: office.decide("tom", waiting), lambda: office.decide("ines", waiting, "reject"))

        status = office.status(waiting)
        assert status in ("approved", "denied", "pending")
        assert (status == "approved") == bool(office.entries("permit"))


class TestInbox:
    def test_sorts_what_waits_for_me_from_what_waits_for_others(self, office: Office) -> None:
        office.candidate("1.0.0", run_id="run-1")
        later = office.candidate("1.1.0", run_id="run-2", lasts=timedelta(days=1))
        office.decide("maria", later)

        inbox = office.desk.inbox("maria")

        assert (inbox.person_name, list(inbox.roles)) == ("Maria Alvarez", ["Model risk"])
        assert [one.version for one in inbox.waits_for_you] == ["1.0.0"]
        assert [one.version for one in inbox.waits_for_others] == ["1.1.0"]

    def test_what_ends_first_comes_first(self, office: Office) -> None:
        office.candidate("1.0.0", run_id="run-1")
        office.candidate("1.1.0", run_id="run-2", lasts=timedelta(days=1))

        assert [one.version for one in office.desk.inbox("tom").waits_for_you] == ["1.1.0", "1.0.0"]

    def test_a_stranger_reads_and_has_nothing_to_do(self, office: Office, waiting) -> None:
        inbox = office.desk.inbox("eve")

        assert (inbox.person_name, inbox.waits_for_you) == ("eve", [])
        assert len(inbox.waits_for_others) == 1

    def test_whoever_touched_the_run_is_not_asked(self, office: Office, waiting) -> None:
        assert office.desk.inbox("tom", {"run-1": {"tom": ["cleared"]}}).waits_for_you == []

    def test_lists_every_model_also_one_whose_folder_is_faulty(self, office: Office, waiting) -> None:
        office.write("models/broken/model.yaml", "name: broken\n")

        rows = {row.name: row for row in office.desk.inbox("maria").models}

        assert (rows[MODEL].title, rows[MODEL].champion, rows[MODEL].last.version) == ("Card limit", None, "1.0.0")
        assert "`title` is missing" in rows["broken"].fault
