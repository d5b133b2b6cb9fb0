"""What the rest of the house makes of a model that was trained elsewhere."""

import shutil
from pathlib import Path

import pytest

from governance.catalog import load_spec
from governance.check import check_model
from governance.policy import Slices
from governance.reports.model_card import _estimates as on_the_card
from governance.settings import ROOT, load_settings
from governance.training.tasks import BinaryClassification
from governance_airflow.web.review_page import _estimates as on_the_page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The loan's folder in a checkout of its own, without the function that trains it."""
    for place in ("models/loan", "policies"):
        shutil.copytree(ROOT / "include" / place, tmp_path / "include" / place)
    shutil.copy(ROOT / "include" / "people.yaml", tmp_path / "include")
    folder = tmp_path / "include" / "models" / "loan"
    (folder / "train.py").unlink()
    return folder


def faults(folder: Path) -> list[str]:
    settings = load_settings({"GOVERNANCE_ROOT": str(folder.parents[2])})
    return [str(fault) for fault in check_model(settings, "loan") if "train.py" in str(fault)]


def test_its_folder_needs_no_function_that_trains(folder: Path) -> None:
    assert faults(folder), "a model that is trained here needs one"
    spec = folder / "model.yaml"
    spec.write_text(f"{spec.read_text()}\ntrained: elsewhere\n")
    assert faults(folder) == []


@pytest.mark.parametrize(
    ("training", "granted"),
    [(None, False), ({}, False), ({"trained": "here"}, False), ({"trained": "elsewhere"}, True)],
)
def test_not_trained_here_may_be_granted_by_what_the_evidence_says(
    training: dict[str, str] | None, granted: bool
) -> None:
    slices = Slices.of(load_spec(ROOT / "include" / "models" / "loan"), training)
    assert slices.may_hold("not trained here") is granted


def test_a_reviewer_is_told_that_nobody_knows_which_rows_it_has_seen() -> None:
    evaluation = {"method": "all_rows", "judged_on": 0}
    for said in (on_the_card(evaluation, 1), on_the_page({"evaluation": evaluation})):
        assert "nobody here knows which rows it has seen" in said
        assert "never saw" not in said


@pytest.mark.parametrize(
    ("favourable", "classes"), [(1, (0, 1)), (0, (0, 1)), (True, (0, 1)), ("yes", ("other", "yes")), (7, ("other", 7))]
)
def test_a_model_that_numbers_its_classes_keeps_numbers_that_are_the_values(favourable, classes) -> None:
    """A model of the labels 0 and 1 puts the probability of 1 second, also where 0 is the favourable one."""
    assert BinaryClassification(favourable).numbered == classes
