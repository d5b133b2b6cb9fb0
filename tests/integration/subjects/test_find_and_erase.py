"""Which snapshots and models hold this person, and what stays valid once their rows are erased."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from governance.cli import main
from governance.commands import subject
from governance.data import snapshots
from governance.data.erasures import KIND
from governance.data.snapshots import PROTECTED, freeze, load, verify
from governance.errors import InputError, RefusedError, TamperedError, UnavailableError
from governance.ledger import verify as ledger_verify
from governance.monitoring.collect import window_of
from governance.monitoring.gone import LET_GO
from governance.pipeline.ingest import groups_of, ingest, rows_of, snapshot_of
from governance.pipeline.validate import whole
from governance.release import smoke
from governance.subjects import erase as erasing
from governance.subjects.find import frozen_of
from tests.integration.ledger.independent_verifier import complaints
from tests.integration.subjects.conftest import ROWS, people
from tests.unit.release.permitted_world import MODEL

ALICE, TWICE, NOBODY = "A-1007", "A-1058", "A-7"
REASON = "Asked for on 3 March."


@pytest.fixture
def frozen(lender):
    return lender.freeze()


class TestFreezing:
    def test_whom_a_row_is_about_is_kept_apart_and_marked_as_an_identifier(self, lender):
        lineage = ingest(lender.run()).lineage
        frozen = snapshot_of(lender.run())

        assert frozen.subject == "application"
        assert "application" not in load(frozen)
        assert list(load(frozen, PROTECTED)) == ["application", "group"]
        marks = {
            (one["field"], one["key"])
            for written in lineage.outputs
            for one in written.facets.get("tags", {"tags": []})["tags"]
        }
        assert marks == {("application", "PII"), ("application", "IDENTIFIER"), ("group", "SENSITIVE")}


class TestFinding:
    def test_who_is_in_a_snapshot_is_found_with_the_versions_made_of_it(self, lender, frozen):
        first, second = lender.judge(frozen), lender.judge(frozen, version="1.1.0")
        lender.sign(second)
        lender.release(second)

        answer = lender.find(TWICE)

        (held,) = answer.document["held"]
        assert (held["snapshot"], held["rows"], held["of"], held["erasable"]) == (frozen.digest, 2, ROWS, True)
        said = [(one["version"], one["evidence"], one["permit"], one["serves"]) for one in held["versions"]]
        assert said == [
            ("1.0.0", first.data["digest"], False, False),
            ("1.1.0", second.data["digest"], True, True),
        ]
        assert answer.exit_code == 0

    def test_who_is_in_none_is_in_none(self, lender, frozen):
        answer = lender.find(NOBODY)

        assert (answer.document["held"], answer.document["looked_through"], answer.exit_code) == ([], 1, 2)

    def test_two_runs_on_the_same_data_are_one_snapshot(self, lender, frozen):
        assert lender.freeze("run-2").digest == frozen.digest
        assert len(lender.find(ALICE).document["held"]) == 1

    def test_windows_are_looked_through_by_request(self, lender):
        window = lender.window(r1=2, r2=1)

        unasked, asked = lender.find(ALICE), lender.find(ALICE, "r2")

        assert unasked.document["windows_without_request"] == 1
        (held,) = asked.document["held"]
        assert (held["kind"], held["rows"], held["until"]) == ("window", 1, window.data["until"])

    def test_a_window_that_was_let_go_is_said_to_be_gone(self, lender):
        window = lender.window(r1=2)
        facts = {"before": "", "days": 762, "regulations": [], "policy": None, "windows": 1, "after": 0}
        lender.ledger().append(LET_GO, MODEL, {**facts, "through": window.seq}, actor="retention", key="let_go:1")
        snapshots.let_go(next(frozen_of(lender.ledger(), MODEL)).snapshot, lambda _: False)

        answer = lender.find(ALICE, "r1")

        (unseen,) = answer.document["not_looked_through"]
        assert unseen["gone"]
        assert "were let go on" in unseen["why"]
        assert (answer.document["held"], answer.exit_code) == ([], 2)

    def test_what_was_frozen_without_the_column_leaves_it_undecided(self, lender):
        plain = freeze(people().drop(columns="application"), model=MODEL, root=lender.settings.snapshots)
        lender.ledger().append("snapshot", MODEL, {"snapshot": plain.to_dict()}, actor="p", key="snapshot:old")

        answer = lender.find(ALICE)

        assert answer.exit_code == 3
        assert answer.document["not_looked_through"][0]["why"].startswith("it was frozen before model.yaml named")

    def test_where_no_column_says_whose_rows_are_whose_that_is_said(self, lender, monkeypatch):
        named = lender.world.spec  # the checkout is shared: its model.yaml stays
        unnamed = named.model_copy(update={"data": named.data.model_copy(update={"subject": None})})
        monkeypatch.setattr("governance.subjects.find.find_spec", lambda *_: unnamed)
        plain = freeze(people().drop(columns="application"), model=MODEL, root=lender.settings.snapshots)
        lender.ledger().append("snapshot", MODEL, {"snapshot": plain.to_dict()}, actor="p", key="snapshot:old")

        answer = lender.find(ALICE)

        assert answer.exit_code == 3
        assert answer.document["not_looked_through"][0]["why"].startswith("model.yaml names no `subject`")

    def test_what_was_frozen_as_a_whole_is_found_and_said_to_stay(self, lender):
        plain = freeze(people(), model=MODEL, root=lender.settings.snapshots)
        lender.ledger().append("snapshot", MODEL, {"snapshot": plain.to_dict()}, actor="p", key="snapshot:old")

        assert [one["erasable"] for one in lender.find(ALICE).document["held"]] == [False]
        done = lender.erase(ALICE)
        assert ([one["snapshot"] for one in done.document["left"]], done.exit_code) == ([plain.digest], 3)

    def test_damaged_files_leave_it_undecided(self, lender, frozen):
        part = frozen.parts[PROTECTED]
        (Path(part.uri) / part.files[0].path).write_bytes(b"no rows")

        answer = lender.find(ALICE)

        assert answer.exit_code == 3
        assert "expected SHA-256" in answer.document["not_looked_through"][0]["why"]


class TestErasing:
    def test_the_signed_version_verifies_as_before_and_the_person_is_gone(self, lender, frozen):
        evidence = lender.judge(frozen)
        lender.sign(evidence)
        before = lender.verify_release(evidence)
        assert lender.on_disk(TWICE)

        done = lender.erase(TWICE)

        after = lender.verify_release(evidence)
        assert (after.snapshot.digest, after.candidate.digest) == (before.snapshot.digest, evidence.data["digest"])
        assert after.snapshot.missing == (ROWS - 2, ROWS - 1)
        assert len(load(after.snapshot)) == len(load(after.snapshot, PROTECTED)) == ROWS - 2
        assert len(smoke.smoke_rows(after)) == smoke.SMOKE_ROWS
        assert not lender.on_disk(TWICE)
        assert (lender.find(TWICE).exit_code, done.exit_code) == (2, 0)
        assert done.document["retrain"] == [{"model": MODEL, "version": "1.0.0"}]

    def test_the_ledger_is_whole_says_why_and_names_nobody(self, lender, frozen):
        lender.erase(ALICE)

        entries = lender.entries(KIND)
        assert [(one.data["part"], one.data["rows"], one.data["reason"]) for one in entries] == [
            ("data", [7], REASON),
            ("protected", [7], REASON),
        ]
        assert all(ALICE not in json.dumps(one.data) for one in entries)
        assert {one.writer for one in entries} == {"pipeline"}
        assert ledger_verify.verify(lender.ledger("auditor")).whole
        assert complaints(lender.database.dsn("auditor")) == {}

    def test_windows_lose_the_rows_of_the_named_requests_and_can_be_opened(self, lender):
        window = lender.window(r1=2, r2=3)

        lender.erase(ALICE, "r2")

        assert set(window_of(lender.ledger(), window)["_request"]) == {"r1"}
        assert not lender.on_disk("r2")

    def test_every_model_and_snapshot_is_gone_through(self, lender, frozen):
        (lender.world.spec.folder / "tiny.csv").write_text(people(ROWS - 10).to_csv(index=False))
        newer = lender.freeze("run-2")
        (lender.world.spec.folder / "tiny.csv").write_text(people().to_csv(index=False))

        lender.erase(ALICE)

        assert newer.digest != frozen.digest
        assert [lender.now(one).missing for one in (frozen, newer)] == [(7,), (7,)]

    def test_it_says_what_it_did_not_touch(self, lender, frozen, monkeypatch, capsys):
        monkeypatch.setenv("GOVERNANCE_ROOT", str(lender.world.root))
        monkeypatch.setenv("GOVERNANCE_SNAPSHOTS", lender.settings.snapshots)
        monkeypatch.setenv("GOVERNANCE_LEDGER_URL", lender.database.dsn("pipeline"))

        assert main(["subject", "erase", ALICE, "--reason", REASON]) == 0

        said = capsys.readouterr().out
        assert f"Erased 1 of {ROWS} rows of {MODEL}, snapshot {frozen.digest[:16]}." in said
        for what in ("The prediction log:", "MLflow:", "The source:", "Backups,"):
            assert what in said

    @pytest.mark.parametrize(
        ("reason", "message"),
        [(f"{ALICE} asked for it.", "names nobody"), ("asked", "Expected a reason of 10 letters")],
    )
    def test_the_reason_says_something_and_names_nobody(self, lender, frozen, reason, message):
        with pytest.raises(InputError, match=message):
            lender.erase(ALICE, reason=reason)

    @pytest.mark.parametrize("login", ["review", "serving", "auditor"])
    def test_only_the_pipeline_erases(self, lender, frozen, login):
        with pytest.raises(InputError, match="Expected the ledger's login pipeline"):
            lender.erase(ALICE, login=login)
        assert lender.now(frozen).missing == ()

    @pytest.mark.parametrize("part", ["data", "protected"])
    def test_a_snapshot_that_was_tampered_with_is_not_written_over(self, lender, frozen, part):
        path = Path(frozen.parts[part].uri) / frozen.parts[part].files[0].path
        path.write_bytes(path.read_bytes()[:-1])

        done = lender.erase(ALICE)

        assert (done.document["erased"], done.exit_code, lender.entries(KIND)) == ([], 3, [])
        assert "expected SHA-256" in done.document["not_looked_through"][0]["why"]


class TestRunsUnderWay:
    def test_a_run_whose_rows_were_erased_uses_none_of_them_and_says_what_to_do(self, lender, frozen):
        lender.erase(ALICE)
        run = lender.run()

        for read in (lambda: rows_of(snapshot_of(run)), lambda: groups_of(run, snapshot_of(run)),
                     lambda: whole(snapshot_of(run))):  # fmt: skip
            with pytest.raises(RefusedError, match=r"1 of them were erased after this run froze it. Trigger a new run"):
                read()

    def test_a_new_run_on_a_source_that_still_holds_the_person_is_found_again(self, lender, frozen):
        lender.erase(ALICE)

        again = lender.freeze("run-2")

        assert again.digest != frozen.digest
        assert [one["snapshot"] for one in lender.find(ALICE).document["held"]] == [again.digest]

    def test_freezing_and_erasing_at_a_time_leave_whole_snapshots(self, lender, frozen):
        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(lender.erase, f"A-{1000 + number}") for number in (1, 2)]
            runs = [pool.submit(lender.freeze, f"run-{number}") for number in (2, 3)]
        assert {one.exception() for one in done} == {None}

        for one in [frozen, *(run.result() for run in runs)]:
            verify(lender.now(one))
        assert set(lender.now(frozen).missing) == {1, 2}


KILL = """
import os, sys
from governance.data import delta
from governance.cli import main
delta.delete = lambda *_: os._exit(9)   # the entries are written; nothing is deleted yet
main(["subject", "erase", sys.argv[1], "--reason", "Asked for on 3 March."])
"""


class TestKilled:
    def test_in_between_it_says_what_to_do_and_again_it_is_finished(self, lender, frozen):
        environment = {**os.environ, "GOVERNANCE_ROOT": str(lender.world.root)}
        environment |= {"GOVERNANCE_SNAPSHOTS": lender.settings.snapshots}
        environment |= {"GOVERNANCE_LEDGER_URL": lender.database.dsn("pipeline")}

        killed = subprocess.run([sys.executable, "-c", KILL, ALICE], env=environment, check=False)

        assert killed.returncode == 9
        assert lender.on_disk(ALICE)
        assert len(load(lender.now(frozen))) == ROWS - 1
        with pytest.raises(
            UnavailableError, match=r"2 files of rows that were erased are still there.*`governance subj"
        ):
            verify(lender.now(frozen))
        assert len(lender.find(NOBODY).document["unfinished"]) == 2

        assert lender.erase(ALICE).exit_code == 2  # nothing holds the person any more, and what was left is deleted
        verify(lender.now(frozen))
        assert not lender.on_disk(ALICE)

    def test_what_a_dead_run_left_is_told_and_deleted_on_demand_after_a_day(self, lender, frozen):
        """A snapshot that no entry names: it holds the person, and nobody would look there."""
        left = freeze(people().iloc[::-1].reset_index(drop=True), model=MODEL, root=lender.settings.snapshots,
                      protected_columns=["group", "application"], subject="application")  # fmt: skip

        told = lender.erase(ALICE)
        assert (len(told.document["unrecorded"]), told.exit_code) == (2, 3)
        assert subject.finish(lender.settings, MODEL, unrecorded=True).document["unrecorded_deleted"] == 0
        for part in left.parts.values():
            for file in Path(part.uri).glob("*.parquet"):
                yesterday = datetime.now(UTC).timestamp() - erasing.SETTLED - 1
                os.utime(file, (yesterday, yesterday))

        assert subject.finish(lender.settings, MODEL, unrecorded=True).document["unrecorded_deleted"] == 2
        assert not lender.on_disk(ALICE)
        verify(lender.now(frozen))


class TestAttacks:
    def test_nobody_but_the_pipeline_records_an_erasure(self, lender, frozen):
        for login in ("review", "serving", "witness"):
            with pytest.raises(RefusedError):
                lender.ledger(login).append(KIND, MODEL, {}, actor="p-1", key=f"{KIND}:{login}")

    def test_an_entry_that_stands_wrong_rows_in_for_the_right_ones_is_found(self, lender, frozen):
        """Written by the pipeline itself, with files that fit it: a row is left out that the entry does not name."""
        other = lender.judge(frozen)
        lender.sign(other)
        lender.erase(ALICE)
        first = lender.entries(KIND)[0]
        forged = {**first.data, "rows": [8], "leaves": first.data["leaves"]}
        lender.ledger().append(KIND, MODEL, forged, actor="p-1", key=first.key[:-1] + "1")

        with pytest.raises(TamperedError, match="expected 60 rows without the 2 that the ledger says were erased"):
            lender.verify_release(other)

    def test_an_entry_that_was_changed_in_the_database_is_found(self, lender, frozen):
        lender.erase(ALICE)
        change = "UPDATE ledger.entry SET body = convert_to(replace(convert_from(body, 'UTF8'), '[7]', '[8]'), 'UTF8')"
        lender.database.tamper(f"{change} WHERE kind = %s", KIND)

        with pytest.raises(TamperedError, match="was changed after it was written"):
            lender.now(frozen)

    def test_entries_are_never_taken_back(self, lender, frozen):
        lender.erase(ALICE)

        with lender.database.connect("pipeline") as connection, pytest.raises(psycopg.Error, match="permission denied"):
            connection.execute("DELETE FROM ledger.entry WHERE kind = %s", (KIND,))
