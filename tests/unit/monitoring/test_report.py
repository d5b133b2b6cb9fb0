"""The report of a window: of features, answers and labels only, kept once, and never in the way."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from governance.monitoring import collect, report, step
from governance.monitoring.watch import DECIDED, WATCHED, WINDOW, open_watch
from governance.reports import second_opinion
from governance.reports.second_opinion import Opinion
from tests.unit.monitoring.test_watch import TIMES
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, World, rows

WRITTEN = "http://mlflow.test/#/experiments/4/runs/ab12/artifacts/evidently.html"


@pytest.fixture
def world(tmp_path):
    return World.make(tmp_path / "checkout").with_services(GOVERNANCE_MLFLOW_URL="http://mlflow.test")


@pytest.fixture
def watch(world):
    return open_watch(world.settings, LedgerInMemory(), MODEL, "scheduled-1", TIMES)


@pytest.fixture
def made(watch, monkeypatch):
    """What the report is made of, and where it is put; Evidently and MLflow are away."""
    calls = {"render": [], "keep_page": []}
    features = list(watch.run.spec.features)
    frame = rows(200).assign(**{collect.PREDICTION: 1, collect.SCORE: 0.7, collect.LABEL: None})
    frame.loc[:49, collect.LABEL] = 1
    judged = pd.DataFrame({"row": range(300), "repetition": 0, "label": 1, "score": 0.4, "prediction": 0})
    other = judged.assign(repetition=1)

    def render(reference, current, *, about):
        calls["render"].append((reference, current, about))
        return Opinion(b"<html>", (300, 200), (300, 200), ())

    def keep_page(url, **what):
        calls["keep_page"].append(what)
        return WRITTEN

    monkeypatch.setattr(report.collect, "window_of", lambda *_: frame)
    monkeypatch.setattr(report.facts, "reference_of", lambda _: (rows(300)[features], "snapshot 00"))
    monkeypatch.setattr(report, "candidate_of", lambda *_: None)
    monkeypatch.setattr(report.facts, "fetch_out_of_fold", lambda *_: pd.concat([other, judged]))
    monkeypatch.setattr(second_opinion, "render", render)
    monkeypatch.setattr(report.tracking, "keep_page", keep_page)
    return calls


def decided(watch, measured=True):
    watch.record(WINDOW, {"rows": 200, "faults": [], "snapshot": None})
    watch.record(WATCHED, {"measurements": [{"name": "drift.psi"}] if measured else []})
    watch.record(DECIDED, {"decision": {"action": "nothing"}})
    return watch


def test_it_is_made_of_features_answers_and_labels_and_of_no_protected_column(watch, made):
    report.report(decided(watch))
    reference, current, about = made["render"][0]

    expected = [*watch.run.spec.features, "(answer)", "(label)", "(score)"]
    assert (list(reference.columns), list(current.columns)) == (expected, expected)
    assert "group" in rows(1).columns
    assert (len(reference), len(current)) == (300, 200)
    assert current["(label)"].notna().sum() == 50
    assert set(current["(answer)"]) == {"1"}
    assert set(reference["(answer)"]) == {"0"}
    assert "beside snapshot 00" in about


def test_it_is_kept_once_under_the_key_of_the_window_whoever_asks_again(watch, made):
    decided(watch)
    first, again = report.report(watch), report.report(watch)

    assert len(made["keep_page"]) == 1
    kept = made["keep_page"][0]
    assert (kept["model"], kept["key"]) == (f"{MODEL}-monitoring", watch.key("report"))
    assert first.summary == again.summary
    assert watch.need("report").data["page"] == WRITTEN


def test_another_run_on_the_same_window_gives_mlflow_the_same_key(world, watch, made):
    report.report(decided(watch))
    other = open_watch(world.settings, LedgerInMemory(), MODEL, "by-hand", TIMES)
    report.report(decided(other))

    assert made["keep_page"][0]["key"] == made["keep_page"][1]["key"]


def test_of_a_window_that_was_not_measured_there_is_none(watch, made):
    done = report.report(decided(watch, measured=False))

    assert done.skipped == "Nothing was measured of this window."
    assert not made["keep_page"]


def test_a_model_may_do_without(watch, made):
    spec = watch.run.spec
    without = spec.model_copy(update={"monitoring": spec.monitoring.model_copy(update={"report": False})})
    watch = replace(watch, run=replace(watch.run, spec=without))

    assert "monitoring.report" in report.report(decided(watch)).skipped
    assert not made["render"]


def test_it_comes_after_the_decision(watch, made):
    with pytest.raises(Exception, match="Expected monitoring of this window in the ledger"):
        report.report(watch)


def test_only_this_step_imports_evidently():
    import subprocess
    import sys

    code = (
        "import sys; from governance.monitoring import STEPS, step; [step(name) for name in STEPS]; "
        "sys.exit('evidently' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert step("report") is report.report


@pytest.mark.parametrize(("answers", "task"), [([1.5, np.nan], "regression")])
def test_numbers_stay_numbers(answers, task):
    class Task:
        name, classes = task, None

    found = report._beside(pd.DataFrame({"x": [1, 2]}), answers, answers, None, "score", Task())
    assert found["(answer)"].dtype == "float64"
    assert "(score)" not in found
