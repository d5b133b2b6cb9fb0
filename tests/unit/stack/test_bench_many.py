"""The benchmark that watches many models: what it copies is a whole model, and what was not decided is no figure."""

import importlib.util
import shutil
from dataclasses import replace

import pytest
import yaml

from governance.catalog import find_spec
from governance.policy import load_policy
from governance.settings import ROOT, load_settings


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_monitor_many", ROOT / "bench" / "monitor_many.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def watched(bench):
    return bench.Watched(4, 8.0, 20.0, 60.0, 11.2, [], {"nothing": 3, "data_fault": 1}, {"decide": [1.0]})


def test_a_copy_is_a_model_of_its_own_that_differs_in_nothing_but_its_name(bench, tmp_path):
    shutil.copytree(ROOT / "include", tmp_path / "include")
    bench.copy_folders(tmp_path, "wage", ["wage_0000", "wage_0001"])

    settings = load_settings({"GOVERNANCE_ROOT": str(tmp_path)})
    copies = [find_spec(settings, name) for name in ("wage_0000", "wage_0001")]
    assert [copy.name for copy in copies] == ["wage_0000", "wage_0001"]
    assert load_policy(settings.models / "wage_0001", settings.policies).approvals.roles == {"model_risk": 1}
    written = [yaml.safe_load((settings.models / name / "model.yaml").read_text()) for name in ("wage", "wage_0001")]
    assert {**written[0], "name": "wage_0001"} == written[1]


def test_the_figure_is_of_each_model_and_says_what_was_decided(bench, watched):
    assert bench.rows_of(watched, 1000) == [
        (
            "4 models of 1,000 rows decided on, each",
            2.0,
            3.6,
            "1 data_fault, 3 nothing, all in 8 s; every report kept after 20 s; 0 failed; 2.8 s of a core each",
        )
    ]


@pytest.mark.parametrize(
    "actions", [{"nothing": 3}, {"nothing": 3, "rows are missing": 1}], ids=["not decided", "rows are missing"]
)
def test_a_model_that_was_not_decided_about_on_all_its_rows_is_no_figure(bench, watched, actions):
    with pytest.raises(SystemExit, match="Expected 4 decisions"):
        bench.rows_of(replace(watched, actions=actions), 1000)
