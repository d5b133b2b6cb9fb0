"""What is measured of a window beside drift: what drives the answers, how right they probably are, how late labels are.

None of it is acted on: the decision is the same whatever these numbers say.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from governance.errors import TamperedError
from governance.monitoring import facts
from governance.monitoring.collect import collect
from governance.monitoring.facts import measure
from governance.monitoring.watch import WATCHED
from tests.integration.monitoring.conftest import usual
from tests.unit.release.permitted_world import MODEL


def measured(watched, watch):
    watched.decided(watch)
    return {one.name: one for one in facts.measurements_of(watch.need(WATCHED)) if not one.slice}


def test_the_same_features_drive_a_quiet_window(watched, champion):
    found = measured(watched, watched.watch_of(usual(), champion))["drift.importance_psi"]
    assert found.value < 0.02
    assert found.n == 4


def test_other_features_drive_a_window_in_which_one_no_longer_varies(watched, champion):
    watch = watched.watch_of(usual().assign(debt=3_000.0), champion)
    assert measured(watched, watch)["drift.importance_psi"].value > 0.1


def test_a_model_whose_explanation_fails_has_no_value_and_is_measured_otherwise(watched, champion, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("of the model's own")

    monkeypatch.setattr("governance.measures.explainability_values.explain", broken)
    found = measured(watched, watched.watch_of(usual(), champion))
    assert found["drift.importance_psi"].reason == "explaining failed: ZeroDivisionError"
    assert found["drift.share_drifted"].value == 0


OWN = """
def measure(reference, current):
    shares = [float((side["income"] > 8_000).mean()) for side in (reference, current)]
    return {"rich": shares[1] - shares[0]}
"""


def test_a_measure_of_the_models_own_is_measured_limited_and_acted_on(watched, champion):
    folder = watched.house.world.spec.folder
    (folder / "drift.py").write_text(OWN)
    limits = "monitoring: {custom: {rich: {at_most: 0.05, action: retrain}}}\n"
    (folder / "policy.yaml").write_text((folder / "policy.yaml").read_text() + limits)
    frame = usual()
    frame.loc[:60, "income"] = 8_500.0
    watch = watched.watch_of(frame, champion)
    found = watched.decided(watch)
    assert (found["action"], found["rule"]) == ("retrain", "custom")
    assert found["because"][0].startswith("rich is 0.")


def test_a_measure_of_the_models_own_that_fails_calls_people(watched, champion):
    (watched.house.world.spec.folder / "drift.py").write_text("def measure(reference, current): return 1 / 0\n")
    found = watched.decided(watched.watch_of(usual(), champion))
    assert (found["action"], found["rule"], found["tell"]) == ("call", "custom", True)
    assert "ZeroDivisionError" in found["because"][0]


def test_before_labels_come_it_is_estimated_how_right_the_answers_are(watched, champion):
    found = measured(watched, watched.watch_of(usual(), champion))
    estimate = found["performance.estimated_accuracy"]
    assert 0.95 < estimate.low < estimate.value < 1
    assert estimate.n == 300
    assert found["performance.estimate_error"].value is None
    assert found["performance.label_delay"].reason == "no label arrived in the window"


def test_labels_that_come_late_say_how_late_and_whether_the_estimate_was_right(watched, champion):
    """They belong to an earlier window, which was decided without them; this one tells what they say."""
    request = watched.ask(usual(150), champion, at=datetime.now(UTC) - timedelta(days=3))
    watched.tell(request, usual(150)["approve"])
    watched.ask(usual(120), champion)
    found = measured(watched, watched.watch())
    assert found["performance.label_delay"].value == pytest.approx(3, abs=0.01)
    error = found["performance.estimate_error"]
    assert error.n == 150
    assert abs(error.value) < 0.05
    assert found["performance.loss_rise"].value is None


def test_an_estimate_that_is_wrong_is_found_out_and_not_acted_on(watched, champion):
    request = watched.ask(usual(150), champion, at=datetime.now(UTC) - timedelta(days=3))
    watched.tell(request, np.where(np.arange(150) % 3 == 0, 1 - usual(150)["approve"], usual(150)["approve"]))
    watched.ask(usual(120), champion)
    watch = watched.watch()
    error = measured(watched, watch)["performance.estimate_error"]
    assert error.low > 0.2
    assert watched.decided(watch)["action"] == "nothing"


@pytest.mark.slow
def test_labels_of_another_version_say_nothing_of_the_champions_estimate(watched, champion):
    request = watched.ask(usual(150), champion)
    watched.tell(request, usual(150)["approve"])
    watched.ask(usual(), watched.release(seed=1, version="1.1.0"))
    found = measured(watched, watched.watch())
    assert found["performance.estimate_error"].n == 0
    assert found["performance.label_delay"].n == 150


def test_a_label_that_is_corrected_or_of_an_id_used_twice_arrives_once_or_not_at_all(watched, champion):
    request = watched.ask(usual(100), champion)
    watched.tell(request, [0] * 100)
    watched.tell(request, [1] * 100)
    other = usual(100).assign(debt=usual(100)["debt"] + 1)
    for frame in (usual(100), other):
        watched.ask(frame, champion, request="twice")
    watched.tell("twice", [1] * 100)
    assert measured(watched, watched.watch())["performance.label_delay"].n == 100


def test_labels_that_were_changed_after_they_were_frozen_are_refused(watched, champion):
    watched.tell(watched.ask(usual(), champion), usual()["approve"])
    watch = watched.watch()
    collect(watch)
    own = next((Path(watch.run.settings.snapshots) / f"{MODEL}.labels" / "data").glob("*.parquet"))
    own.write_bytes(own.read_bytes()[:-1] + b"x")
    with pytest.raises(TamperedError):
        measure(watch)
