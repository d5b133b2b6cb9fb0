"""Latency is measured in a real, fresh process; whatever that process does, an answer comes back."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toymodels

from governance.errors import InputError
from governance.measures.operations import measure_latency

ROW = pd.DataFrame({"income": [5.0], "town": [3]})


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"amount": 1}))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "weights.bin").write_bytes(b"0" * 100)
    return tmp_path


def measure(artifact, loader, **keywords):
    found = measure_latency(artifact, f"toymodels:{loader}", ROW, **{"repeats": 20, "seconds": 60, **keywords})
    return {each.name.removeprefix("operations."): each for each in found}


def test_a_model_is_loaded_asked_and_weighed(artifact):
    found = measure(artifact, "load", repeats=400)

    assert list(found) == ["latency_p50_ms", "latency_p99_ms", "load_ms", "peak_memory_bytes", "artifact_bytes"]
    assert 0 < found["latency_p50_ms"].value <= found["latency_p99_ms"].value < 1000
    assert found["latency_p50_ms"].n == found["latency_p99_ms"].n == 400
    for each in (found["latency_p50_ms"], found["latency_p99_ms"]):
        assert each.low <= each.value <= each.high
    assert (found["artifact_bytes"].value, found["artifact_bytes"].n) == (113, 2)


def test_loading_is_timed_apart_from_answering(artifact):
    found = measure(artifact, "load_slowly")

    assert found["load_ms"].value >= 300
    assert found["latency_p50_ms"].value < 300


def test_the_memory_that_the_model_takes_is_measured_and_not_that_of_who_asks(artifact):
    ours = np.ones(75_000_000)  # 600 MB, in use: on Linux, getrusage of a child says at least as much

    small, large = (measure(artifact, loader)["peak_memory_bytes"] for loader in ("load", "load_a_lot"))

    assert 20e6 < small.value < 500e6 < ours.nbytes
    assert large.value - small.value == pytest.approx(200e6, rel=0.1)
    assert (small.n, small.method) == (1, "counted")


def test_the_loader_gets_its_arguments(artifact):
    assert measure(artifact, "load_with", arguments={"trusted_types": ["a.B"]})["load_ms"].value > 0


def test_a_model_may_print_what_it_likes(artifact):
    assert measure(artifact, "talk")["latency_p50_ms"].value > 0


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        ("fail", "(exit code 1): ValueError: this file is broken"),
        ("leave", "(exit code 0): it said nothing"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_a_model_that_does_not_load_leaves_a_reason_and_its_size(artifact, loader, reason):
    found = measure(artifact, loader)

    for name in ("latency_p50_ms", "latency_p99_ms", "load_ms", "peak_memory_bytes"):
        assert found[name].value is None
        assert reason in found[name].reason
    assert found["artifact_bytes"].value == 113


def test_nothing_of_our_environment_reaches_the_model(artifact, monkeypatch):
    for name in ("GOVERNANCE_LEDGER_URL", "SECRET_KEY", "AIRFLOW_HOME"):
        monkeypatch.setenv(name, "secret")

    assert measure(artifact, "demand_our_environment")["load_ms"].reason.endswith("leaked: []")


def test_a_model_that_hangs_is_ended_with_everything_it_started(artifact):
    found = measure(artifact, "hang", seconds=3)

    assert found["load_ms"].reason == "the model did not load and answer within 3 s"
    deadline = time.monotonic() + 5
    while processes_named(artifact / "left-behind"):
        assert time.monotonic() < deadline, "a process of the model outlived it"


def processes_named(mark):
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_bytes()
        except OSError:
            continue
        if str(mark).encode() in text:
            found.append(command)
    return found


def test_the_row_arrives_as_it_was(artifact):
    row = pd.DataFrame({"income": [np.nan], "town": pd.Categorical(["Lynn"], categories=["Lynn", "Salem"])})
    restored = toymodels.load(artifact)

    assert restored.predict(ROW).tolist() == [9.0]
    found = measure_latency(artifact, "toymodels_dtypes:load", row, repeats=1, seconds=60)
    assert found[0].reason is None


@pytest.mark.parametrize(
    ("folder", "loader", "row", "message"),
    [
        ("absent", "toymodels:load", ROW, "Expected a folder"),
        (".", "toymodels", ROW, "module:function"),
        (".", "toymodels:load", pd.concat([ROW, ROW]), "found 2 rows"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused(artifact, folder, loader, row, message):
    with pytest.raises(InputError, match=message):
        measure_latency(artifact / folder, loader, row)
