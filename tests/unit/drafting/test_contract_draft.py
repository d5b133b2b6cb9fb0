"""A drafted contract: met by its data and by the next month's, broken by what goes wrong with deliveries."""

import json

import numpy as np
import pandas as pd
import pytest
from drafts import applicants, looked_at, outcome_of

from governance.data.columns import normalise
from governance.data.contracts import feature_bounds, run_contract
from governance.drafting.contract import suite, to_text

N = 600


def bank(seed=0):
    draw = np.random.default_rng(seed)
    frame = applicants(N, seed)
    frame["debt"] = draw.lognormal(3, 1, N)
    frame["children"] = draw.poisson(1.2, N)
    frame["card"] = (draw.random(N) < 0.88).astype(int)
    frame["branch"] = draw.choice(["north", "south", None], N)
    frame["score"] = np.where(draw.random(N) < 0.1, np.nan, draw.integers(300, 850, N))
    frame["opened"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 999, N), unit="D")
    frame["member"] = draw.random(N) < 0.5
    frame["e.mail"] = [f"secret{i % 7}@b.example" for i in range(N)]
    frame["empty"] = np.nan
    return frame


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    frame = bank()
    path = tmp_path_factory.mktemp("drafted") / "contract.json"
    outcome = outcome_of(frame, "approved")
    path.write_text(to_text(suite("it", looked_at(frame), outcome, ["sex"], ["e.mail"])))
    return path


def unmet(frame, contract):
    return {result.subject for result in run_contract(normalise(frame), contract).unmet()}


def test_its_own_data_meet_it(contract):
    assert unmet(bank(), contract) == set()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_next_month_meets_it(contract, seed):
    assert unmet(bank(seed).sample(frac=0.7, random_state=seed), contract) == set()


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (lambda t: t.rename(columns={"debt": "dept"}), "debt"),
        (lambda t: t.assign(surprise=1), "table"),
        (lambda t: t.head(200), "table"),
        (lambda t: pd.concat([t, t.head(30)]), "table"),
        (lambda t: t.assign(income=t["income"] * 1000), "income"),
        (lambda t: t.assign(income=t["income"] / 1000), "income"),
        (lambda t: t.assign(income=t["income"].where(t.index > 0, 500)), "income"),
        (lambda t: t.assign(card=1 - t["card"]), "card"),
        (lambda t: t.assign(card=t["card"] + 1), "card"),
        (lambda t: t.assign(job=None), "job"),
        (lambda t: t.assign(job=t["job"].str.upper()), "job"),
        (lambda t: t.assign(age=t["age"].astype(str)), "age"),
        (lambda t: t.assign(sex=t["sex"].where(t.index > 0, "x")), "sex"),
        (lambda t: t.assign(approved=t["approved"].where(t.index > 0, 2)), "approved"),
        (lambda t: t.assign(score=t["score"].where(t.index % 2 == 0)), "score"),
        (lambda t: t.assign(age=-t["age"]), "age"),
        (lambda t: t.assign(opened="2020-01-01"), "opened"),
        (lambda t: t.assign(empty=1.0), "empty"),
    ],
    ids=[
        "renamed",
        "new column",
        "rows lost",
        "rows twice",
        "in cents",
        "in thousands",
        "one far out",
        "flipped",
        "other codes",
        "emptied",
        "other names",
        "as text",
        "a new group",
        "a new class",
        "half missing",
        "negative",
        "dates as text",
        "no longer empty",
    ],
)
def test_what_goes_wrong_with_deliveries_breaks_it(contract, change, subject):
    assert subject in unmet(change(bank()), contract)


@pytest.mark.parametrize(
    ("copies", "severity", "asked"),
    [(0, "critical", False), (60, "critical", True), (400, "warning", True)],
    ids=["none", "some", "most"],
)
def test_rows_that_are_alike_today_are_allowed_asked_about_and_found_when_all_come_twice(
    tmp_path, copies, severity, asked
):
    frame = pd.concat([applicants(N), applicants(N).head(copies)], ignore_index=True)
    path = tmp_path / "contract.json"
    document = suite("it", looked_at(frame), outcome_of(frame, "approved"), ["sex"], [])
    path.write_text(to_text(document))
    [of_copies] = [one for one in document["expectations"] if "compound" in one["type"]]

    assert unmet(frame, path) == set()
    assert of_copies["severity"] == severity
    assert ("decide:" in of_copies["meta"]["notes"]) is asked
    twice = run_contract(normalise(pd.concat([frame, frame], ignore_index=True)), path)
    assert any("approved" in one.subject and "sex" in one.subject for one in twice.unmet())


def test_no_value_of_personal_data_stands_in_it(contract):
    assert "secret" not in contract.read_text()
    assert '"column": "e.mail"' in contract.read_text()


def test_the_scoring_service_finds_the_type_of_every_feature_and_lets_unknown_names_in(contract):
    bounds = feature_bounds(contract, ["income", "job", "member", "score"])

    assert {name: one["type"] for name, one in bounds.items()} == {
        "income": "float64",
        "job": "string",
        "member": "bool",
        "score": "float64",
    }
    assert bounds["job"]["allowed"] is None
    assert (bounds["score"]["nullable"], bounds["income"]["nullable"]) == (True, False)


def test_every_expectation_with_room_says_how_much(contract):
    expectations = json.loads(contract.read_text())["expectations"]
    roomy = [one for one in expectations if {"min_value", "mostly"} & set(one["kwargs"])]

    assert len(roomy) > 10
    assert all(one["meta"]["notes"] for one in roomy)


def test_it_is_one_expectation_a_line(contract):
    lines = [line for line in contract.read_text().splitlines() if '"type"' in line]

    assert len(lines) == len(json.loads(contract.read_text())["expectations"])
