"""The model folder's own drift measure: what it sees, what it may not do, and that no failure of it is *no drift*."""

import numpy as np
import pandas as pd
import pytest

from governance.canonical import digest_of_bytes
from governance.rules import child, drift
from governance.rules.drift import measure_custom

FRAME = pd.DataFrame(
    {
        "income": [1.5, np.nan, 3.0, np.inf],
        "kind": [1, 2, 3, 4],
        "town": ["Bern", None, "Ulm", "Bern"],
        "own": [True, False, None, True],
        "at": pd.to_datetime(["2026-03-01T06:00:00Z", None, "2026-03-02", "2026-03-03"], format="ISO8601", utc=True),
    }
)


@pytest.fixture
def measure(tmp_path):
    """Return a function: source → what is measured."""

    def run(source, reference=FRAME, current=FRAME):
        (tmp_path / "drift.py").write_text(source)
        return measure_custom(tmp_path, reference, current)

    return run


def returning(text):
    return f"import math\ndef measure(reference, current):\n    return {text}\n"


def reason(found):
    [one] = found
    assert (one.name, one.value) == ("drift.custom", None)
    return one.reason


def test_without_a_file_nothing_is_measured(tmp_path):
    assert measure_custom(tmp_path, FRAME, FRAME) == []


def test_numbers_become_measurements_with_the_file_that_made_them(measure, tmp_path):
    source = """
import numpy as np
from scipy import stats

def measure(reference, current):
    test = stats.ks_2samp(reference["kind"], current["kind"])
    return {"ks": test.statistic, "mean": (np.float32(1.5), 1, 2)}
"""
    found = {one.name: one for one in measure(source, current=FRAME.assign(kind=[5, 6, 7, 8]))}
    assert set(found) == {"drift.custom.ks", "drift.custom.mean"}
    assert found["drift.custom.ks"].value == 1.0
    mean = found["drift.custom.mean"]
    assert (mean.value, mean.low, mean.high, mean.n) == (1.5, 1.0, 2.0, 4)
    assert mean.method == f"python {digest_of_bytes(source.encode())}"


def test_it_sees_both_tables_as_they_are(measure):
    source = """
def measure(reference, current):
    assert list(current.columns) == ["income", "kind", "town", "own", "at"]
    assert current["income"].dtype == current["kind"].dtype == "float64"
    assert current["income"].isna().sum() == 1 and current["income"].max() == float("inf")
    assert current["town"].tolist()[2] == "Ulm" and current["town"].isna().sum() == 1
    assert current["own"].tolist()[:2] == [True, False] and current["own"].isna().sum() == 1
    assert str(current["at"].dtype).endswith("UTC]") and current["at"].max().day == 3
    return {"rows": len(reference)}
"""
    [found] = measure(source, reference=pd.concat([FRAME, FRAME]), current=FRAME.assign(_label=1))
    assert (found.name, found.value, found.reason) == ("drift.custom.rows", 8.0, None)


def test_of_large_tables_it_sees_a_sample_and_the_same_one_each_time(measure, monkeypatch):
    monkeypatch.setattr(drift, "SAMPLE", 50)
    large = pd.DataFrame({"x": np.arange(1000.0)})
    source = returning("{'rows': len(reference), 'sum': current['x'].sum()}")
    first, again = measure(source, large, large), measure(source, large, large)
    assert first == again
    assert next(one for one in first if one.name.endswith("rows")).value == first[0].n == 50


def test_what_pandas_and_numpy_import_at_first_use_is_there(measure):
    source = """
import numpy as np
import pandas as pd

def measure(reference, current):
    kind, town = current["kind"], current["town"]
    return {
        "crosstab": pd.crosstab(town, kind > 2).to_numpy().sum(),
        "pivot": current.pivot_table(values="kind", index="town").iloc[0, 0],
        "rolling": kind.rolling(2).mean().max(),
        "cut": pd.cut(kind, 3).value_counts().max(),
        "norm": np.linalg.norm(np.cov(np.c_[kind, reference["kind"]].T)),
        "random": np.random.default_rng(0).normal(),
        "merge": current.merge(reference, on="kind").drop_duplicates().shape[0],
        "text": town.str.len().mean(),
    }
"""
    assert [one.reason for one in measure(source)] == [None] * 8


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "expected 1 to 100 numbers by name"),
        ({}, "expected 1 to 100 numbers by name"),
        ({str(i): 1 for i in range(101)}, "expected 1 to 100 numbers by name"),
        ({"Tail!": 1}, "expected a name of small letters"),
        ({"tail": "much"}, "tail: expected a number"),
        ({"tail": None}, "tail: expected a number"),
        ({"tail": np.nan}, "tail: expected a number"),
        ({"tail": (1, 2, 3)}, "tail: expected a number"),
        ({"tail": (1, 0)}, "tail: expected a number"),
        ({"tail": (1, 0, np.inf)}, "tail: expected a number"),
    ],
)
def test_what_is_no_number_is_a_fault(answer, said):
    assert said in child.numbers(answer)["fault"]


@pytest.mark.parametrize(
    ("answer", "said"), [("{'tail': 'much'}", "tail: expected a number"), ("current['gone']", "KeyError")]
)
def test_a_fault_is_no_measurement(measure, answer, said):
    assert said in reason(measure(returning(answer)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def measure(:", "SyntaxError"),
        ("x = 1", "no attribute 'measure'"),
        ("import os\nos._exit(0)", "it ended without one"),
        ("import requests", "requests"),
    ],
)
def test_a_file_that_cannot_be_run_is_no_measurement(measure, source, said):
    assert said in reason(measure(source))


def test_it_is_ended_when_it_takes_too_long(measure, monkeypatch):
    monkeypatch.setattr(drift, "SECONDS", 0.3)
    assert reason(measure(returning("[1 for _ in iter(int, 1)]"))) == "drift.py: it took longer than 0.3 s"


def test_it_finds_no_secret_opens_no_file_and_reaches_nobody(measure, monkeypatch, tmp_path):
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://secret")
    (tmp_path / "key.pem").write_text("secret")
    source = f"""
import os, socket

def refused(act):
    try:
        act()
    except OSError:
        return 1
    return 0

def measure(reference, current):
    return {{
        "secrets": sum("secret" in value for value in os.environ.values()),
        "files": refused(lambda: open({str(tmp_path / "key.pem")!r})),
        "sockets": refused(lambda: socket.socket()),
        "processes": refused(lambda: os.fork()),
    }}
"""
    assert {one.name.rpartition(".")[2]: one.value for one in measure(source)} == {
        "secrets": 0, "files": 1, "sockets": 1, "processes": 1,
    }  # fmt: skip
