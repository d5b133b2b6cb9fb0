"""Data that cannot be used: one row a fault, and the sentence that people are told, through each of three doors.

``governance check --data`` and ``governance try`` on a laptop, and the first steps of the pipeline, which leave nothing
half-written: no entry in the ledger, no snapshot. No sentence holds a value of a row.
"""

import os
import shutil
import tempfile

# Before anything imports Airflow, which writes its configuration where this points.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance import canonical
from governance.check import check_model
from governance.data import snapshots
from governance.errors import GovernanceError
from governance.pipeline.ingest import ingest, snapshot_of
from governance.pipeline.run import Request, Run
from governance.pipeline.validate import validate
from governance.training import tracking
from governance.trial import run_trial
from tests.unit.release.permitted_world import CONTRACT_BODY, MODEL, SAM, World, rows

CANARY = "canary-7654321"
FIT = """\
from sklearn.linear_model import LogisticRegression


def fit(frame, params):
    return LogisticRegression().fit(frame.drop(columns="approve").fillna(0), frame["approve"])
"""
NO_ROW_TWICE = {
    "type": "expect_compound_columns_to_be_unique",
    "kwargs": {"column_list": ["income", "age", "debt"], "ignore_row_if": "never", "mostly": 0.95},
    "severity": "critical",
}

Change = Callable[[Path, pd.DataFrame], Any]


@dataclass(frozen=True)
class Fault:
    """What is broken, and what each door says of it.

    Attributes:
        change: Breaks the data: gets the model's folder and good rows; a frame that it returns is written.
        said: Parts of the sentence, through every door.
        ingest: Parts that only the pipeline says in its own words, instead of ``said``.
        spec: Text → text in ``model.yaml``.
        by_contract: Whether it is the contract that finds it, after the data were frozen.
    """

    change: Change
    said: tuple[str, ...]
    ingest: tuple[str, ...] = ()
    spec: dict[str, str] = field(default_factory=dict)
    by_contract: bool = False


def written(body: bytes) -> Change:
    """The file holds these bytes instead."""
    return lambda folder, frame: (folder / "tiny.csv").write_bytes(body)


def column(**values: Any) -> Change:
    """Columns hold these values instead."""
    return lambda folder, frame: frame.assign(**values)


def some(name: str, value: Any, count: int = 7) -> Change:
    """Some values of a column are another."""
    return lambda folder, frame: frame.assign(**{name: frame[name].astype(object).where(frame.index >= count, value)})


def huge(folder: Path, frame: pd.DataFrame) -> None:
    """A cell of 4 GB, in a file that takes no room on the disk."""
    with (folder / "tiny.csv").open("wb") as file:
        file.write(b"income,age,kind,debt,group,approve\n1,30,1,2,a,1\n1,30,1,")
        file.truncate(4 * 1024**3)


def wide(folder: Path, frame: pd.DataFrame) -> None:
    names = ",".join(f"c{number}" for number in range(1_000_000))
    (folder / "tiny.csv").write_text(f"{names}\n{names}\n")


def without_file(folder: Path, frame: pd.DataFrame) -> None:
    (folder / "tiny.csv").unlink()


PEOPLE = [f"{CANARY}{number}@bank.example" for number in range(200)]

FAULTS: dict[str, Fault] = {
    "the file is missing": Fault(without_file, ("Expected a file at", "tiny.csv, found none", "relative to the model")),
    "the file is empty": Fault(written(b""), ("tiny.csv is empty. Expected a table",)),
    "there is a header and no row": Fault(written(b"income,age\n"), ("Expected rows in csv:tiny.csv, found 0 rows",)),
    "the encoding is Latin-1": Fault(
        written(f"income,age\n1,caf\xe9{CANARY}\n".encode("latin-1")),
        ("is not UTF-8 (byte 16: 0xe9). Save it as UTF-8",),
    ),
    "the encoding is UTF-16": Fault(written("income\n1\n".encode("utf-16")), ("is not UTF-8 (byte 0: 0xff)",)),
    "lines are ragged": Fault(written(b"a,b\n1,2\n1,2,3\n"), ("is not a table", "as many fields as the header")),
    "a column is missing": Fault(
        lambda folder, frame: frame.drop(columns="debt"),
        ("The data have no column `debt`, which is a feature here.", "or remove it"),
        ingest=("Expected 6 columns of model.yaml in csv:tiny.csv, found no debt. Columns there: income, age",),
    ),
    "a column was renamed": Fault(
        lambda folder, frame: frame.rename(columns={"income": "incomes"}),
        ("The data have no column `income`", "Did you mean `incomes`?"),
        ingest=("found no income. Columns there: incomes, age",),
    ),
    "two columns have one name": Fault(
        written(b"income,age,income\n1,2,3\n"), ("column 'income' appears 2 times. Column names must differ",)
    ),
    "a column is of another type": Fault(
        column(income=[f"{CANARY} {number}" for number in range(200)]),
        ("income: expected decimal numbers (float64), found text (string)",),
        by_contract=True,
    ),
    "a column is of two types": Fault(
        some("income", True),
        ("income: expected decimal numbers (float64), found text (string)",),
        by_contract=True,
    ),
    "a column has no value": Fault(
        column(income=np.nan), ("Column `income`, a feature, has no value in any of 200 rows.", "Correct the source")
    ),
    "the target has no value": Fault(
        column(approve=np.nan), ("Column `approve`, a target, has no value in any of 200 rows.",)
    ),
    "the target is missing in some rows": Fault(
        some("approve", None), ("The target `approve` is missing in 7 of 200 rows.", "Leave these rows out")
    ),
    "the target has one class": Fault(
        column(approve=1),
        ("The target `approve` has one class only in all 200 rows: there is nothing to learn.", "were rows of"),
    ),
    "the target never has its favourable value": Fault(
        column(approve=[2, 3] * 100),
        ("The target `approve` is never 1, which is favourable here.", "Correct the value"),
    ),
    "a protected attribute has one group": Fault(
        column(group=CANARY),
        ("Every row is in one group of `group` (from `group`; 0 of 200 unknown): there is nothing to compare.",),
    ),
    "a protected attribute has one group and rows that are not known": Fault(
        some("group", None, 150),
        ("Every row is in one group of `kin` (from `group`; 172 of 200 unknown)",),
        spec={"protected: {group: group}": "protected: {kin: {column: group, values: {one: a}}}"},
    ),
    "an indicator holds a code": Fault(
        column(group=[0, 7] * 100),
        ("An indicator of `group` (group) holds something other than 0 and 1.", "write {column: …, values: …}"),
        spec={"protected: {group: group}": "protected: {group: {in: group, otherwise: out}}"},
    ),
    "rows occur twice": Fault(
        lambda folder, frame: pd.concat([frame, frame.iloc[:20]]),
        ("income, age, debt: expected at most 5 % of rows alike, found 40 of 220 rows alike (18.2 %)",),
        by_contract=True,
    ),
    "values are infinite": Fault(
        some("debt", np.inf), ("Column `debt`, a feature, is infinite in 7 of 200 rows.", "divided by zero")
    ),
    "there are a million columns": Fault(
        wide, ("expected at most 10,000 columns, found 1,000,000", "Keep the columns")
    ),
    "a cell has 4 GB": Fault(
        huge, ("tiny.csv after byte 55: expected cells of at most 1,000,000 bytes, found a longer one",)
    ),
    "a column nobody declared holds addresses": Fault(
        column(note=PEOPLE),
        ("Column `note` looks like personal data: e-mail addresses in 200 of 200 values.", "data.personal"),
        ingest=("found `note` (e-mail addresses in 200 of 200 values)", "declare them", "data.not_personal"),
    ),
    "a personal column that the policy refuses": Fault(
        column(note=PEOPLE),
        ("The data have the personal column `note`, and the policy says `personal_data: refuse`",),
        ingest=("Expected no personal data, which the policy refuses, found the columns note. Remove them",),
        spec={"purposes: [tests]": "purposes: [tests], personal: {note: email}"},
    ),
    "a feature identifies rows": Fault(
        lambda folder, frame: frame.assign(customer_id=np.random.default_rng(1).permutation(90_000)[:200]),
        ("Feature `customer_id` looks like an identifier of rows: all of its 200 values differ", "Remove this line"),
        spec={"  debt: Debt, $": "  debt: Debt, $\n  customer_id: Customer"},
    ),
    "the data may not be used for this": Fault(
        lambda folder, frame: None,
        ("The model uses the data for `tests`, which is none of their purposes.", "(marketing)"),
        ingest=("The data may be used for `marketing`, and the model uses them for `tests`. Ask their owner",),
        spec={"purposes: [tests]": "purposes: [marketing]"},
    ),
    "nobody says what the data are used for": Fault(
        lambda folder, frame: None,
        ("`use` is missing", "(tests)"),
        ingest=("Expected `use` in model.yaml, found none",),
        spec={"use: tests\n": ""},
    ),
}  # fmt: skip
ONLY_BY_CONTRACT = [name for name, fault in FAULTS.items() if fault.by_contract]
AT_ONCE = [name for name in FAULTS if name not in ONLY_BY_CONTRACT]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A checkout with good data, a model that can be fitted, and a contract that allows few rows twice."""
    world = World.make(tmp_path_factory.mktemp("bad-data") / "checkout")
    contract = json.loads(CONTRACT_BODY)
    contract["expectations"].append(NO_ROW_TWICE)
    (world.spec.folder / "contract.json").write_bytes(canonical.to_bytes(contract))
    (world.spec.folder / "train.py").write_text(FIT)
    rows().to_csv(world.spec.folder / "tiny.csv", index=False)
    tier = world.settings.policies / "high.yaml"
    if "overdue_findings" not in tier.read_text():
        tier.open("a").write("overdue_findings: block\nno_rollback_target: suspend\nmay_stop: [model_risk]\n")
    return world


@pytest.fixture
def broken(checkout: World, tmp_path: Path) -> Callable[[str], World]:
    """Return a function: name of a fault → a checkout of its own with that fault."""

    def break_(name: str) -> World:
        world = replace(checkout, root=tmp_path / "checkout")
        shutil.copytree(checkout.root, world.root)
        folder, fault = world.root / "include" / "models" / MODEL, FAULTS[name]
        text = (folder / "model.yaml").read_text()
        for old, new in fault.spec.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "model.yaml").write_text(text)
        if isinstance(changed := fault.change(folder, rows()), pd.DataFrame):
            changed.to_csv(folder / "tiny.csv", index=False)
        return world

    return break_


@pytest.fixture
def ledger():
    from tests.unit.plugins.stand_in import LedgerInMemory

    return LedgerInMemory()


@pytest.fixture
def run_of(ledger, monkeypatch) -> Callable[[World], Run]:
    """Return a function: checkout → a run; the page of a quarantine goes nowhere."""
    monkeypatch.setattr(tracking, "keep_page", lambda url, **page: f"{url}/quarantine.html")

    def open_run(world: World) -> Run:
        here = world.with_services(GOVERNANCE_MLFLOW_URL="http://mlflow.test")
        request = Request("A test needs it.", {}, None, "minor", SAM)
        return Run(here.settings, ledger, here.spec, here.policy, here.people, "run-1", request)

    return open_run


def one_sentence(said: str, parts: tuple[str, ...]) -> None:
    """Every part is said, and no value of a row, no traceback and no library's name."""
    assert all(part in said for part in parts), said
    for word in (CANARY, "Traceback", "pandas", "pyarrow", "0x7f"):
        assert word not in said


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(GovernanceError) as caught:
        act()
    return str(caught.value)


def about_data(world: World) -> list[str]:
    faults = check_model(world.settings, MODEL, data=True, contract=True)
    return [str(fault) for fault in faults if fault.file.name in ("model.yaml", "contract.json", "tiny.csv")]


@pytest.mark.parametrize("name", FAULTS)
def test_check_tells_it(broken, name):
    said = about_data(broken(name))

    assert said
    one_sentence("\n".join(said), FAULTS[name].said)


@pytest.mark.parametrize("name", AT_ONCE)
def test_try_tells_it_before_anything_is_fitted(broken, name, monkeypatch):
    from governance import trial

    monkeypatch.setattr(trial, "Bench", None)  # fits; calling it would be another error
    world = broken(name)

    one_sentence(refusal(lambda: run_trial(world.settings, MODEL)), FAULTS[name].said)


@pytest.mark.training
@pytest.mark.parametrize(
    "name", ["a column is of another type", pytest.param("rows occur twice", marks=pytest.mark.slow)]
)
def test_try_tells_what_the_contract_finds_whatever_the_fit_made_of_it(broken, name):
    world = broken(name)

    found = run_trial(world.settings, MODEL)

    assert found.verdict is None
    assert not found.contract.success
    one_sentence("\n".join(one.sentence for one in found.contract.unmet()), FAULTS[name].said)


@pytest.mark.parametrize("name", AT_ONCE)
def test_the_pipeline_tells_it_and_has_written_nothing(broken, name, run_of, ledger):
    run = run_of(broken(name))

    one_sentence(refusal(lambda: ingest(run)), FAULTS[name].ingest or FAULTS[name].said)

    assert ledger.entries == []
    assert not Path(run.settings.snapshots).exists()


@pytest.mark.parametrize("name", ONLY_BY_CONTRACT)
def test_the_pipeline_puts_into_quarantine_what_the_contract_finds(broken, name, run_of, ledger):
    run = run_of(broken(name))
    ingest(run)

    step = validate(run)

    one_sentence(str(step.failed), FAULTS[name].said)
    assert [entry.kind for entry in ledger.entries] == ["snapshot", "validation"]
    assert ledger.entries[-1].data["success"] is False


def test_good_data_pass_all_three_doors(checkout, run_of, ledger, tmp_path):
    run = run_of(replace(checkout, more={"GOVERNANCE_STATE": str(tmp_path)}))

    assert about_data(checkout) == []
    assert ingest(run).failed is None
    assert validate(run).failed is None


def test_personal_columns_are_masked_where_the_policy_says_so(broken, run_of):
    """What is frozen says only whether there was a value, so that other people give the same digest."""
    world = broken("a personal column that the policy refuses")
    (world.settings.policies / "high.yaml").open("a").write("personal_data: mask\n")
    first = run_of(world)
    ingest(first)
    kept = snapshots.load(snapshot_of(first))

    assert set(kept["note"]) == {"●●●"}
    assert kept["debt"].nunique() > 100

    others = rows().assign(note=[f"someone{number}@else.example" for number in range(200)])
    others.to_csv(world.spec.folder / "tiny.csv", index=False)
    second = replace(first, run_id="run-2")
    ingest(second)

    assert snapshot_of(second).digest == snapshot_of(first).digest


def test_of_a_source_that_nobody_reviewed_not_even_the_personal_column_is_named(broken, run_of):
    run = run_of(broken("a column nobody declared holds addresses"))
    typed = replace(run, request=replace(run.request, source="csv:tiny.csv"))

    said = refusal(lambda: ingest(typed))

    assert "found e-mail addresses" in said
    assert "note" not in said.replace("not_personal", "")
