"""Bad windows and bad moments, one after the other: what is decided of each, and that nothing is left half-written.

Each test is named after what is wrong. Where that can be said without a database, it is said in
``tests/unit/monitoring``; what Slack's absence means for a task in ``tests/unit/plugins/test_watch_operators.py``.
"""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from psycopg.conninfo import make_conninfo

from governance.errors import InputError, TamperedError, UnavailableError
from governance.ledger.log import Ledger
from governance.monitoring import facts
from governance.monitoring.act import order_of
from governance.monitoring.collect import collect
from governance.monitoring.decide import decide_window
from governance.monitoring.facts import measure
from governance.monitoring.watch import DECIDED, WATCHED, WINDOW
from tests.integration.monitoring.conftest import TYPES, times_of, usual
from tests.integration.outages.gate import Gate
from tests.integration.serving.services_under_test import free_port
from tests.unit.release.permitted_world import MODEL

ALL_THREE = ["window", "watched", "monitoring"]
STEPS = (collect, measure, decide_window)


def shifted(count: int = 300) -> pd.DataFrame:
    """Rows in which three features of four have moved, and with them the answers."""
    frame = usual(count)
    return frame.assign(income=frame["income"] / 4, debt=frame["debt"] * 4 + 2_000, age=80, approve=0)


class TestWhatTheWindowHolds:
    def test_a_quiet_window_is_nothing(self, watched, champion):
        watched.tell(watched.ask(usual(), champion), usual()["approve"])
        watch = watched.watch()
        assert watched.decided(watch)["action"] == "nothing"
        window = watch.need(WINDOW).data
        assert (window["rows"], window["labelled"], window["by_version"]) == (300, 300, {"1.0.0": 300})

    def test_a_column_is_missing(self, watched, champion):
        watched.ask(usual(), champion, types=[one for one in TYPES if one[0] != "debt"])
        found = watched.decided(watched.watch())
        assert (found["action"], found["rule"], found["tell"]) == ("data_fault", "contract", True)
        assert "debt" in " ".join(found["because"])

    def test_a_column_is_missing_that_the_champion_does_without(self, watched):
        """An alternative that drops a feature is not asked for it, and has no broken data for that."""
        fewer = [one for one in TYPES if one[0] != "debt"]
        champion = watched.release(features=[name for name, _ in fewer])
        watch = watched.watch_of(usual(), champion, types=fewer)
        assert watched.decided(watch)["action"] == "nothing"
        assert "debt" not in {one.slice.get("column") for one in facts.measurements_of(watch.need(WATCHED))}

    def test_a_column_was_renamed(self, watched, champion):
        types = [("owed" if name == "debt" else name, kind) for name, kind in TYPES]
        watch = watched.watch_of(usual().assign(owed=1.0), champion, types=types)
        found = watched.decided(watch)
        assert found["action"] == "data_fault"
        assert "debt" in " ".join(found["because"])
        assert "owed" not in {column["name"] for column in watch.need(WINDOW).data["snapshot"]["columns"]}

    def test_a_column_has_another_type(self, watched, champion):
        types = [(name, "string" if name == "income" else kind) for name, kind in TYPES]
        frame = usual()
        watched.ask(frame.assign(income=[f"{one} $" for one in frame["income"]]), champion, types=types)
        found = watched.decided(watched.watch())
        assert found["action"] == "data_fault"
        assert "income" in " ".join(found["because"])

    def test_a_column_that_may_be_missing_is_missing_everywhere(self, watched, champion):
        """The contract allows a missing income; that all of them are is a shift, never *no drift*."""
        watch = watched.watch_of(usual().assign(income=np.nan), champion)
        found = watched.decided(watch)
        assert "income" in found["flagged"]
        assert found["because"][0].startswith("25% of 4 features have drifted (income)")

    def test_every_value_is_missing(self, watched, champion):
        empty = usual().assign(income=np.nan, age=np.nan, kind=np.nan, debt=np.nan)
        found = watched.decided(watched.watch_of(empty, champion))
        assert found["action"] == "data_fault"

    def test_a_single_row(self, watched, champion):
        watch = watched.watch_of(usual(1), champion)
        assert (watched.decided(watch)["action"], watch.need(WINDOW).data["rows"]) == ("too_few", 1)

    def test_no_labels(self, watched, champion):
        watch = watched.watch_of(usual(), champion)
        assert watched.decided(watch)["action"] == "nothing"
        [rise] = [one for one in facts.measurements_of(watch.need(WATCHED)) if one.name == "performance.loss_rise"]
        assert (rise.value, rise.reason) == (None, "not enough data: 0 labels have arrived, and 100 are needed")

    def test_labels_for_unknown_requests(self, watched, champion):
        watched.ask(usual(), champion)
        watched.tell("nobody-asked", [1, 0, 1])
        watch = watched.watch()
        assert watched.decided(watch)["action"] == "nothing"
        assert (watch.need(WINDOW).data["labelled"], watch.need(WINDOW).data["unmatched"]) == (0, 3)

    def test_a_request_id_is_used_again_for_the_same_and_for_something_else(self, watched, champion):
        first = datetime.now(UTC) - timedelta(minutes=5)
        watched.ask(usual(150), champion, request="again", at=first)
        watched.ask(usual(150), champion, request="again", at=first + timedelta(minutes=1))
        other = usual(150).assign(debt=usual(150)["debt"] + 1)
        watched.ask(other, champion, request="again", at=first + timedelta(minutes=2))
        watched.tell("again", [1] * 150)
        watch = watched.watch()
        watched.decided(watch)
        window = watch.need(WINDOW).data
        assert (window["rows"], window["labelled"], window["unmatched"]) == (300, 0, 150)

    def test_nothing_was_asked(self, watched, champion):
        assert watched.decided(watched.watch())["action"] == "silent"


class TestRefusedRequests:
    """An upstream that broke is not asked about in a window: the scoring service refuses what it sends."""

    def test_where_everything_was_refused_it_is_a_fault_and_no_silence(self, watched, champion):
        watched.refuse(champion, ["missing"] * 40, "debt")
        found = watched.decided(watched.watch())
        assert (found["action"], found["rule"], found["tell"]) == ("data_fault", "refused_share", True)
        said = "The scoring service refused 40 of 40 requests (100%, at least 91%) for their content, "
        assert found["because"] == [f"{said}5% at most are usual.", "debt is missing: 40 requests."]

    def test_some_refusals_among_many_answers_are_usual(self, watched, champion):
        for _ in range(3):
            watched.ask(usual(100), champion)
        watched.refuse(champion, ["value"] * 3, "age")
        watch = watched.watch()
        assert watched.decided(watch)["action"] == "nothing"
        told = {"answered": 3, "requests": 3, "rows": 6, "by": [{"fault": "value", "feature": "age", "requests": 3}]}
        assert watch.need(WINDOW).data["refused"] == told

    def test_refusals_of_another_version_or_another_time_or_that_arrived_late_do_not_count(self, watched, champion):
        now = datetime.now(UTC)
        watched.refuse(champion, ["missing"] * 40, "debt", at=now - timedelta(hours=2))
        watched.refuse(watched.release(seed=1, version="1.1.0"), ["missing"] * 40, "debt")
        watched.serves_again(champion)
        watched.refuse(champion, ["missing"] * 40, "debt", at=(until := datetime.now(UTC)) - timedelta(milliseconds=1))
        assert watched.decided(watched.watch(until=until))["action"] == "silent"


class TestReference:
    """What a window is held against must be what it was."""

    @pytest.fixture
    def watch(self, watched, champion):
        watched.ask(shifted(), champion)
        watch = watched.watch()
        collect(watch)
        return watch

    @staticmethod
    def files(watch, part="data"):
        folder = Path(watch.run.settings.snapshots) / MODEL / part
        return folder, next(folder.glob("*.parquet"))

    def expect_refused_and_then_measured(self, watched, watch, restore):
        for _ in range(2):
            with pytest.raises(TamperedError, match=r"restore the file from a backup|Restore it from a backup"):
                measure(watch)
        with pytest.raises(InputError, match="clear the task before"):
            decide_window(watch)
        assert watched.kinds() == ["window"]
        restore()
        assert watched.decided(watch)["action"] in ("call", "retrain")
        assert watched.kinds() == ALL_THREE

    def test_its_file_was_deleted(self, watched, watch):
        _, file = self.files(watch)
        body = file.read_bytes()
        file.unlink()
        self.expect_refused_and_then_measured(watched, watch, lambda: file.write_bytes(body))

    def test_its_folder_was_deleted(self, watched, watch):
        folder, _ = self.files(watch)
        kept = folder.with_name("kept")
        folder.rename(kept)
        self.expect_refused_and_then_measured(watched, watch, lambda: kept.rename(folder))

    def test_one_bit_of_it_was_changed(self, watched, watch):
        _, file = self.files(watch)
        body = file.read_bytes()
        file.write_bytes(bytes([*body[:100], body[100] ^ 1, *body[101:]]))
        self.expect_refused_and_then_measured(watched, watch, lambda: file.write_bytes(body))

    def test_it_was_replaced_by_the_window_itself(self, watched, watch):
        """A reference that looks like the window would be *no drift*."""
        _, file = self.files(watch)
        body = file.read_bytes()
        own = Path(watch.run.settings.snapshots) / f"{MODEL}.windows" / "data"
        shutil.copy(next(own.glob("*.parquet")), file)
        self.expect_refused_and_then_measured(watched, watch, lambda: file.write_bytes(body))

    def test_the_window_itself_was_changed_after_it_was_frozen(self, watched, watch):
        own = next((Path(watch.run.settings.snapshots) / f"{MODEL}.windows" / "data").glob("*.parquet"))
        body = own.read_bytes()
        own.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        self.expect_refused_and_then_measured(watched, watch, lambda: own.write_bytes(body))


class TestServicesDown:
    """At each step: a clear error, nothing half-written, and the step works when it is cleared."""

    @pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
    def test_mlflow(self, watched, champion, step):
        watched.ask(usual(), champion)
        watch = watched.watch()
        for before in STEPS[: STEPS.index(step)]:
            before(watch)
        recorded = watched.kinds()
        away = watched.again(times_of(watch), GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")
        if step is measure:  # the only one that needs it where nothing is to be rolled back
            with pytest.raises(UnavailableError, match="MLflow"):
                step(away)
            assert watched.kinds() == recorded
        else:
            step(away)
        assert watched.decided(watch)["action"] == "nothing"
        assert watched.kinds() == ALL_THREE

    @pytest.mark.parametrize("step", [*STEPS, order_of], ids=lambda step: step.__name__)
    def test_postgresql(self, watched, champion, step):
        watched.ask(usual(), champion)
        watch = watched.watch()
        before = [] if step is collect else STEPS if step is order_of else STEPS[: STEPS.index(step)]
        for one in before:
            one(watch)
        recorded = watched.kinds()
        gate = Gate(f"{watched.house.database.server.host}/.s.PGSQL.5432")
        dsn = make_conninfo(watched.house.database.dsn("pipeline"), host="127.0.0.1", port=gate.port)
        gated = watched.again(times_of(watch), GOVERNANCE_LEDGER_URL=dsn)
        arguments = ("retrain",) if step is order_of else ()
        gate.shut()
        with pytest.raises(UnavailableError, match="found no way to reach it"):
            step(gated, *arguments)
        assert watched.kinds() == recorded
        gate.open()
        step(gated, *arguments)
        gate.close()
        assert watched.decided(watch)["action"] == "nothing"
        assert watched.kinds() == ALL_THREE

    def test_the_scoring_service(self, watched, champion):
        """No step asks it: what it answered is in the log."""
        watched.ask(usual(), champion)
        away = watched.watch(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")
        assert watched.decided(away)["action"] == "nothing"


class TestAtOnce:
    def test_two_monitors_of_one_model(self, watched, champion):
        watched.ask(shifted(), champion)
        first = watched.watch("scheduled")
        others = [first, watched.again(times_of(first), "by-hand"), watched.again(times_of(first), "backfill")]
        together = threading.Barrier(len(others))

        def look(watch):
            together.wait()
            watched.decided(watch)
            return watch.need(DECIDED)

        with ThreadPoolExecutor(len(others)) as threads:
            found = list(threads.map(look, others))
        assert len({entry.seq for entry in found}) == 1
        assert watched.kinds() == ALL_THREE
        orders = [order_of(watch, found[0].data["decision"]["action"]) for watch in others]
        assert len({str(order) for order in orders}) == 1

    def test_a_release_is_under_way(self, watched, champion):
        """The window belongs to the version at its end; what the other one answered is counted and not judged."""
        watched.ask(shifted(400), champion)
        after = watched.release(seed=1, version="1.1.0")
        watched.ask(usual(), after)
        watch = watched.watch()
        found = watched.decided(watch)
        assert found["action"] == "nothing"
        window = watch.need(WINDOW).data
        assert (window["rows"], window["by_version"]) == (300, {"1.0.0": 400, "1.1.0": 300})
        assert window["champion"] == after.data["digest"]

    def test_a_release_just_before_the_end_leaves_too_few_and_is_no_silence(self, watched, champion):
        watched.ask(usual(400), champion)
        watched.release(seed=1, version="1.1.0")
        found = watched.decided(watched.watch())
        assert found["action"] == "too_few"
        assert found["because"][1] == "400 more are of versions that served before, and are judged by nobody."

    def test_a_release_after_the_window_changes_nothing_of_it(self, watched, champion):
        watched.ask(usual(), champion)
        watch = watched.watch()
        watched.release(seed=1, version="1.1.0")
        again = watched.again(times_of(watch), "backfill")
        assert watched.decided(again)["action"] == "nothing"
        assert again.need(WINDOW).data["champion"] == champion.data["digest"]


class TestClock:
    def test_a_record_is_earlier_than_the_one_before_it(self, watched, champion):
        now = datetime.now(UTC)
        for minutes in (1, 20, 3):
            watched.ask(usual(100), champion, at=now - timedelta(minutes=minutes))
        watch = watched.watch()
        watched.decided(watch)
        assert watch.need(WINDOW).data["rows"] == 300

    def test_a_record_is_from_the_future(self, watched, champion):
        """A scoring service whose clock is ahead: its records belong to the window that holds their time."""
        watched.ask(usual(), champion, at=datetime.now(UTC) + timedelta(minutes=30))
        assert watched.decided(watched.watch())["action"] == "silent"

    def test_the_cut_off_is_before_the_arrival(self, watched, champion):
        early = datetime.now(UTC)
        watched.ask(usual(), champion, at=early - timedelta(seconds=2))
        watch = watched.watch(until=early)
        assert watched.decided(watch)["action"] == "silent"
        assert watched.decided(watched.again((watch.since, early, datetime.now(UTC))))["action"] == "nothing"

    def test_the_end_is_before_the_beginning(self, watched, champion):
        now = datetime.now(UTC)
        with pytest.raises(InputError, match="Expected a window of at most a year, with time zones"):
            watched.again((now, now - timedelta(days=1), now))

    def test_the_ledger_refuses_an_entry_of_a_clock_that_was_set_back(self, watched, champion, monkeypatch):
        watched.ask(usual(), champion)
        watch = watched.watch()

        class Behind(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) - timedelta(minutes=10)

        monkeypatch.setattr("governance.ledger.log.datetime", Behind)
        with pytest.raises(Exception, match="clock"):
            collect(watch)
        monkeypatch.undo()
        assert watched.kinds() == []
        assert watched.decided(watch)["action"] == "nothing"


class KilledError(BaseException):
    """In place of kill -9: nothing catches it."""


class TestKilled:
    @pytest.mark.parametrize(
        ("when", "kind"),
        [("before", WINDOW), ("after", DECIDED)]
        + [
            pytest.param(when, kind, marks=pytest.mark.slow)
            for when, kind in [("after", WINDOW), ("before", WATCHED), ("after", WATCHED), ("before", DECIDED)]
        ],
    )
    def test_while_a_step_records(self, watched, champion, monkeypatch, kind, when):
        watched.ask(usual(), champion)
        watch = watched.watch()
        append = Ledger.append

        def killed(self, of, *arguments, **more):
            if of == kind and when == "after":
                append(self, of, *arguments, **more)
            if of == kind:
                raise KilledError
            return append(self, of, *arguments, **more)

        monkeypatch.setattr(Ledger, "append", killed)
        with pytest.raises(KilledError):
            watched.decided(watch)
        monkeypatch.undo()
        assert watched.decided(watched.again(times_of(watch)))["action"] == "nothing"
        assert watched.kinds() == ALL_THREE

    def test_between_the_decision_and_the_action(self, watched, champion):
        """The run that is started is named by the entry, so Airflow knows it the second time."""
        watched.ask(shifted(), champion)
        watch = watched.watch()
        action = watched.decided(watch)["action"]
        before = order_of(watch, action)
        later = watched.again(times_of(watch), "cleared")
        watched.decided(later)
        assert order_of(later, action) == before
        assert watched.kinds() == ALL_THREE
