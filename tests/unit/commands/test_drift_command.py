"""``governance drift``: from two files to a decision, an exit code and one message where it cannot be."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance import cli
from governance.data.sources import read_source
from governance.measures import drift_sketch
from governance.measures.drift import measure_drift
from governance.settings import ROOT

Run = Callable[..., tuple[int, str, str]]
RANDOM = np.random.default_rng(7)
SIZE = 400


def rows(moved: int = 0, size: int = SIZE, **changed: object) -> pd.DataFrame:
    """Return ten columns, of which so many have moved by two standard deviations."""
    numbers = {f"n{i}": RANDOM.normal(2.0 * (i < moved), size=size) for i in range(8)}
    frame = pd.DataFrame({**numbers, "kind": RANDOM.choice(["a", "b"], size), "owner": RANDOM.random(size) < 0.5})
    return frame.assign(**changed)


REFERENCE = rows()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on files of a folder of its own; return exit code, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("GOVERNANCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOVERNANCE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("governance.processor.prefer_fast_sorting", lambda: None)
    monkeypatch.setattr(drift_sketch, "SETTLED_NS", 0)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["drift", *arguments])
        return code, *capsys.readouterr()

    return run


def write(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[str, str]:
    reference.to_parquet("then.parquet", index=False)
    current.to_parquet("now.parquet", index=False)
    return "then.parquet", "now.parquet"


class TestTheDecision:
    @pytest.mark.parametrize(
        ("moved", "outcome", "action", "exit_code"),
        [(0, "nothing", "nothing", 0), (1, "drifted", "retrain", 2), (3, "severe", "roll back", 2)],
    )
    def test_the_share_of_drifted_columns_decides(
        self, run: Run, moved: int, outcome: str, action: str, exit_code: int
    ) -> None:
        code, out, _ = run(*write(REFERENCE, rows(moved)), "--json")
        document = json.loads(out)

        assert code == exit_code
        assert (document["decision"]["outcome"], document["decision"]["action"]) == (outcome, action)
        assert document["decision"]["drifted"] == [f"n{i}" for i in range(moved)]
        assert document["decision"]["value"] == moved / 10
        assert document["rows"] == {"reference": SIZE, "current": SIZE}

    def test_the_limits_are_options(self, run: Run) -> None:
        files = write(REFERENCE, rows(1))
        assert run(*files, "--drifted-from", "0.2")[0] == 0
        assert "severe: 1 of 10 columns has drifted (n0)" in run(*files, "--severe-from", "0.1")[1]

    def test_few_rows_decide_nothing(self, run: Run) -> None:
        files = write(REFERENCE, rows(3, 29))
        code, out, _ = run(*files)

        assert code == 3
        assert "not enough data: the current data have 29 rows, and 30 are needed" in out
        assert run(*files, "--minimum-n", "29")[0] == 2

    def test_a_column_that_is_gone_leaves_nothing_to_decide_and_is_named(self, run: Run) -> None:
        files = write(REFERENCE, rows().rename(columns={"n7": "n_7"}))
        code, out, _ = run(*files)

        assert code == 3
        assert "Gone, for the current data lack them: n7." in out
        assert "Not looked at, for the reference lacks them: n_7." in out
        assert "not comparable: " in out
        assert run(*files, "--columns", "n0,n1")[0] == 0

    def test_people_see_what_drifted_in_full_and_the_others_in_a_line(self, run: Run) -> None:
        _, out, _ = run(*write(REFERENCE, rows(1, kind="c")))

        assert [line.split()[0] for line in out.splitlines()[2:5]] == ["column", "kind", "n0"]
        assert "100.0 %" in out.splitlines()[3]
        assert "Not drifted, with their PSI: " in out
        assert "drifted: 2 of 10 columns have drifted (n0, kind): 0.2 of them, at least 0.1 → retrain" in out
        assert "Rule: drift.share_drifted >= 0.1." in out
        assert max(map(len, out.splitlines()[2:5])) <= 80


class TestTheMeasurements:
    def test_they_are_those_of_the_frames(self, run: Run) -> None:
        files = write(REFERENCE, rows(2, kind=None))
        expected = measure_drift(*(read_source(file, Path()) for file in files))

        assert json.loads(run(*files, "--json")[1])["measurements"] == [one.to_dict() for one in expected]

    def test_a_csv_and_a_parquet_file_can_be_compared(self, run: Run) -> None:
        _, now = write(REFERENCE, rows(2))
        REFERENCE.to_csv("then.csv", index=False)

        assert run("then.csv", now, "--json")[1] == run("then.parquet", now, "--json")[1]

    def test_columns_are_chosen_by_name_also_where_a_name_has_a_comma(self, run: Run) -> None:
        files = write(REFERENCE.assign(**{"a,b": 1.0}), rows(2).assign(**{"a,b": 2.0}))
        document = json.loads(run(*files, "--columns", "n5,n0", "--columns", "a,b", "--json")[1])
        columns = [one["slice"]["column"] for one in document["measurements"] if one["name"] == "drift.psi"]

        assert columns == ["n5", "n0", "a,b"]

    def test_nothing_heavy_is_imported(self, run: Run) -> None:
        arguments = ["drift", *write(REFERENCE, rows(2))]
        heavy = ("pandas", "scipy", "sklearn", "yaml")
        program = (
            "import sys; from governance.measures import drift_sketch; drift_sketch.SETTLED_NS = 0\n"
            f"from governance.cli import main; main({arguments}); print(*sys.modules)"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
        for told in ("10 columns", "from its sketch"):
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
            )
            assert told in done.stdout
            assert not set(heavy) & set(done.stdout.splitlines()[-1].split())


class TestTheSketch:
    def test_the_second_run_says_the_same_from_the_sketch(self, run: Run) -> None:
        files = write(REFERENCE, rows(2, n7=[None, *range(SIZE - 1)]))
        first, second = run(*files), run(*files)

        assert first[0] == second[0] == 2
        assert ", the reference from its sketch" in second[1]
        assert second[1].replace(", the reference from its sketch", "") == first[1]

    def test_no_cache_neither_uses_nor_keeps_one(self, run: Run, tmp_path: Path) -> None:
        files = write(REFERENCE, rows(2))
        run(*files, "--no-cache")
        assert not (tmp_path / "state").exists()
        run(*files)
        assert "from its sketch" not in run(*files, "--no-cache")[1]

    def test_a_reference_that_changed_is_read_anew(self, run: Run) -> None:
        files = write(REFERENCE, rows())
        run(*files)
        files = write(rows(3), rows())
        code, out, _ = run(*files)

        assert "from its sketch" not in out
        assert code == 2

    def test_a_state_folder_that_cannot_be_written_costs_no_answer(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file in its place")
        assert run(*write(REFERENCE, rows()))[0] == 0

    def test_a_run_that_fails_leaves_nothing_behind(self, run: Run, tmp_path: Path) -> None:
        assert run(*write(REFERENCE, rows(kind=1.0)))[0] == 1
        assert list((tmp_path / "state" / "sketches").iterdir()) == []


def _damaged() -> None:
    body = bytearray(Path("now.parquet").read_bytes())
    body[20:2000] = b"\xff" * 1980
    Path("now.parquet").write_bytes(body)


def _many_columns() -> None:
    pq.write_table(pa.table({f"c{i}": [1.0] for i in range(10_001)}), "now.parquet")


BAD = {
    "there is no file": (lambda: Path("now.parquet").unlink(), "Expected the current data in a file at now.parquet"),
    "the file is empty": (lambda: Path("now.parquet").write_bytes(b""), "now.parquet is empty"),
    "it is no Parquet file": (
        lambda: Path("now.parquet").write_text("a,b\n1,2\n" * 9),
        "now.parquet is not a Parquet file: it does not end",
    ),
    "the file was cut": (
        lambda: Path("now.parquet").write_bytes(Path("now.parquet").read_bytes()[:-9]),
        "it does not end like one",
    ),
    "a page is damaged": (_damaged, "now.parquet is not a Parquet file, or is damaged: "),
    "it has no rows": (lambda: rows().head(0).to_parquet("now.parquet"), "found 0 rows of 10 columns"),
    "it has no columns": (
        lambda: pq.write_table(pa.table({}), "now.parquet"),
        "Expected rows in now.parquet, found 0 rows of 0 columns",
    ),
    "no column is common": (lambda: pd.DataFrame({"z": [1.0]}).to_parquet("now.parquet"), "0 columns in common"),
    "a column is of another type": (
        lambda: rows(n3="x").to_parquet("now.parquet"),
        "Expected column 'n3' to be of one kind on both sides, found numbers in the reference and text",
    ),
    "there are too many columns": (_many_columns, "expected at most 10,000 columns, found 10,001"),
    "an index was written": (lambda: rows().sample(50).to_parquet("now.parquet"), "holds a pandas index as column"),
    "a column holds lists": (
        lambda: pq.write_table(pa.table({"n0": [[1]]}), "now.parquet"),
        "Column 'n0' holds ndarray. Expected one of: whole numbers",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_told_in_one_message(run: Run, bad: str) -> None:
    spoil, told = BAD[bad]
    files = write(REFERENCE, rows())
    spoil()

    code, out, err = run(*files)

    assert (code, out) == (1, "")
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--columns", "n00"], "Expected a column 'n00' in then.parquet, found n0, n1,"),
        (["--drifted-from", "0.5"], "Expected limits with 0 < drifted <= severe <= 1, found 0.5 and 0.3"),
        (["--severe-from", "2"], "found 0.1 and 2"),
        (["--drifted-from", "nan"], "Expected limits with 0 < drifted <= severe <= 1, found nan and 0.3"),
        (["--minimum-n", "0"], "Invalid value for '--minimum-n'"),
    ],
)
def test_so_is_an_option_that_cannot_be(run: Run, arguments: list[str], told: str) -> None:
    code, out, err = run(*write(REFERENCE, rows()), *arguments)

    assert (code, out) == (1, "")
    assert told in err


def test_a_column_that_has_no_value_any_more_has_drifted(run: Run) -> None:
    code, out, _ = run(*write(REFERENCE, rows(n4=np.nan)))

    assert code == 2
    assert "(n4)" in out
    assert "+100.0 %" in out


def test_a_single_row_is_not_enough(run: Run) -> None:
    assert run(*write(REFERENCE, rows(size=1)))[0] == 3


def test_its_limits_are_those_of_a_policy_that_says_nothing_else() -> None:
    from governance.drift_decision import RETRAIN_FROM, SEVERE_FROM
    from governance.policyfile import Monitoring

    assert (Monitoring().drifted_share, Monitoring().severe_share) == (RETRAIN_FROM, SEVERE_FROM)
