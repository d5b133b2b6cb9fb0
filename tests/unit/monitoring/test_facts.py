"""What is kept of a window: its measurements, and how its columns were distributed then and now."""

import numpy as np
import pandas as pd
import pytest

from governance.measures.drift_shapes import Shape
from governance.monitoring import collect, facts
from governance.monitoring.watch import WINDOW, open_watch
from governance.predictions.labels import values_of
from governance.training.tasks import MulticlassClassification, task_of
from tests.unit.monitoring.test_watch import TIMES
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, World, rows


@pytest.fixture
def watch(tmp_path):
    return open_watch(World.make(tmp_path / "checkout").settings, LedgerInMemory(), MODEL, "scheduled-1", TIMES)


def seen(watch, monkeypatch, frame, faults=()):
    """Enter a window of these rows, beside a reference of made-up ones."""
    features = list(watch.run.spec.features)
    draw = np.random.default_rng(0)
    answered = frame.assign(**{collect.SCORE: draw.random(len(frame)), collect.PREDICTION: 1, collect.LABEL: None})
    watch.record(WINDOW, {"rows": len(frame), "faults": list(faults), "snapshot": None})
    monkeypatch.setattr(facts.collect, "window_of", lambda *_: answered)
    monkeypatch.setattr(facts, "reference_of", lambda _: (rows(300)[features], "snapshot 00"))
    monkeypatch.setattr(facts, "candidate_of", lambda *_: None)
    judged = pd.DataFrame({"prediction": 1, "label": [0, 1] * 150, "score": draw.random(300)})
    monkeypatch.setattr(facts, "judged_rows", lambda *_: judged)
    facts.measure(watch)
    return watch.need("watched").data


def test_a_window_is_kept_with_the_distribution_of_each_feature_and_of_what_the_model_says(watch, monkeypatch):
    data = seen(watch, monkeypatch, rows(200))
    shapes = {one.name: one for one in map(Shape.from_dict, data["shapes"])}

    assert list(shapes) == ["", *sorted(watch.run.spec.features)]
    assert {one.rows for one in shapes.values()} == {(300, 200)}
    assert [(one.low, one.high) for one in shapes["kind"].bins] == [(0, 0), (1, 1), (2, 2)]
    assert shapes["income"].missing == (15, 10)


def test_no_protected_attribute_is_among_them(watch, monkeypatch):
    data = seen(watch, monkeypatch, rows(200))

    assert "group" in rows(200).columns
    assert "group" not in {one["column"] for one in data["shapes"]}


@pytest.mark.parametrize(("count", "faults"), [(0, ()), (200, ("income is missing",))], ids=["silent", "broken"])
def test_of_a_window_that_is_not_measured_nothing_is_drawn(watch, monkeypatch, count, faults):
    assert seen(watch, monkeypatch, rows(200)[:count], faults)["shapes"] == []


def test_a_value_that_the_spec_does_not_know_hides_no_other(watch):
    """Such are refused when they come in; a log may hold some from before."""
    spec = watch.run.spec
    column, known = next(iter(values_of(spec)))
    frame = rows(40).astype({column: object})
    before = facts.groups_of(spec, frame)
    frame.loc[0, column] = "nobody knows"
    after = facts.groups_of(spec, frame)

    assert known is None or after.iloc[0].tolist() != before.iloc[0].tolist()
    assert (after.iloc[1:] == before.iloc[1:]).all(axis=None)


def test_times_are_kept_as_times(watch, monkeypatch):
    moments = pd.date_range("2026-01-01", periods=300, freq="D", tz="UTC")
    frame = pd.DataFrame({"at": moments})
    found = {}
    judged = pd.DataFrame({"prediction": 1, "label": [0, 1] * 150, "score": 0.5})
    champion = facts.Champion(None, frame, judged, task_of(watch.run.spec))
    answered = frame.assign(_score=0.5, _prediction=1, _label=None)
    watch.record(WINDOW, {"rows": 300, "faults": [], "snapshot": None})
    list(facts.measure_window(watch, champion, answered, facts.keeping(found, frame)))

    assert found["at"].kind == "times"


def test_of_several_classes_it_is_kept_how_often_each_is_the_answer():
    task = MulticlassClassification(("low", "high", "none"))
    scores = np.eye(3)[[0] * 30 + [1] * 10 + [2] * 5]
    shape = facts.shape_of_answers(task, scores, scores[:30])

    assert [(one.name, one.reference, one.current) for one in shape.bins] == [
        ("low", 30, 30), ("high", 10, 0), ("none", 5, 0)
    ]  # fmt: skip
