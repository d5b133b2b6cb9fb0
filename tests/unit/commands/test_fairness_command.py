"""``governance fairness``: published tables come out to the last digit, and bad input is one message."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from governance import cli
from governance.commands import fairness as command
from governance.measures.fairness import measure_fairness

# Angwin et al. (2016), "How We Analyzed the COMPAS Recidivism Algorithm": survived or recidivated, low or high score.
COMPAS = [
    ("race", "two_year_recid", "score", "people"),
    ("African-American", "Survived", "Low", 990), ("African-American", "Survived", "High", 805),
    ("African-American", "Recidivated", "Low", 532), ("African-American", "Recidivated", "High", 1369),
    ("Caucasian", "Survived", "Low", 1139), ("Caucasian", "Survived", "High", 349),
    ("Caucasian", "Recidivated", "Low", 461), ("Caucasian", "Recidivated", "High", 505),
]  # fmt: skip
ASKED_OF_COMPAS = [
    "--label", "two_year_recid", "--prediction", "score", "--protected", "race", "--count", "people",
    "--favourable", "Recidivated", "--favourable", "High",
]  # fmt: skip

# Bickel, Hammel and O'Connell (1975), the six largest departments, as R's UCBAdmissions.
BERKELEY = [("department", "sex", "admitted", "applicants")] + [
    (department, sex, answer, n)
    for department, men_yes, men_no, women_yes, women_no in [
        ("A", 512, 313, 89, 19), ("B", 353, 207, 17, 8), ("C", 120, 205, 202, 391),
        ("D", 138, 279, 131, 244), ("E", 53, 138, 94, 299), ("F", 22, 351, 24, 317),
    ]
    for sex, answer, n in [
        ("men", "yes", men_yes), ("men", "no", men_no), ("women", "yes", women_yes), ("women", "no", women_no),
    ]
]  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``governance fairness`` in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["fairness", *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write rows, the first of them the names of the columns, and return the name of the file."""

    def write(rows: list, name: str = "rows.csv") -> str:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return name

    return write


def measured(out: str) -> dict:
    """Return name and slice → value of what was printed as JSON."""
    return {
        (each["name"].removeprefix("fairness."), *each["slice"].values()): each["value"]
        for each in json.loads(out)["measurements"]
    }


class TestPublishedTables:
    def test_compas_by_race(self, run: Run, write: Callable[..., str]) -> None:
        code, out, _ = run(write(COMPAS), *ASKED_OF_COMPAS)

        assert code == 0
        assert re.search(r"African-American +3,696 +58.82 +72.01 +44.85 +27.99 +62.97 +63.83 +1.000", out)
        assert re.search(r"Caucasian +2,454 +34.80 +52.28 +23.45 +47.72 +59.13 +66.99 +0.592 < 4/5", out)

    def test_berkeley_by_sex_and_by_department(self, run: Run, write: Callable[..., str]) -> None:
        asked = ["--prediction", "admitted", "--favourable", "yes", "--count", "applicants"]
        code, out, _ = run(write(BERKELEY), *asked, "--protected", "sex", "--protected", "department", "--json")

        found = measured(out)
        percent = {key[1:]: round(100 * value, 1) for key, value in found.items() if key[0] == "selection_rate"}
        assert code == 0
        assert (percent["men",], percent["women",]) == (44.5, 30.4)
        published = {  # Freedman, Pisani and Purves (1978), Statistics, table 2 of chapter 2: in whole per cent
            "A": (62, 82), "B": (63, 68), "C": (37, 34), "D": (33, 35), "E": (28, 24), "F": (6, 7),
        }  # fmt: skip
        assert {
            department: (round(percent["men", department]), round(percent["women", department]))
            for department in published
        } == published

    def test_local_law_144_prints_the_table_of_the_rule(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("sex", "moved_on", "n"), ("Male", 1, 667), ("Male", 0, 1390 - 667), ("Female", 1, 555)]
        rows += [("Female", 0, 1181 - 555), ("", 0, 250)]
        asked = ["--prediction", "moved_on", "--protected", "sex", "--count", "n", "--local-law-144"]

        code, out, _ = run(write(rows), *asked)

        assert code == 0
        assert re.search(r"^Male +1,390 +667 +48.0 % +1.000$", out, re.MULTILINE)
        assert re.search(r"^Female +1,181 +555 +47.0 % +0.979$", out, re.MULTILINE)
        assert "Assessed: 2,821 people; not included, because sex is unknown: 250." in out
        assert re.search(r"^Male +1,390 +667 +48 % +1.00$", run("rows.csv", *asked, "--decimals", "2")[1], re.MULTILINE)


class TestTheDocument:
    def test_it_holds_the_measurements_of_the_rows_in_full(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("y", "p", "sex", "race")]
        rows += [(i % 2, int(i % 3 == 0), "mw"[i % 5 > 1], "abc"[i % 7 % 3]) for i in range(400)]
        frame = pd.DataFrame(rows[1:], columns=rows[0])

        code, out, error = run(
            write(rows), "--label", "y", "--prediction", "p", "--protected", "sex", "--protected", "race", "--json"
        )

        expected = measure_fairness(frame.y, frame.p, {"sex": frame.sex, "race": frame.race}, [("sex", "race")])
        assert (code, error) == (0, "")
        assert json.loads(out) == {"measurements": [each.to_dict() for each in expected]}

    def test_parquet_and_csv_give_the_same(self, run: Run, write: Callable[..., str]) -> None:
        asked = ["--label", "y", "--prediction", "p", "--protected", "age", "--json"]
        rows = [("y", "p", "age")] + [(i % 2, int(i % 3 == 0), i % 2 or "") for i in range(90)]
        name = write(rows)
        pd.DataFrame(
            {"y": [i % 2 == 1 for i in range(90)], "p": [i % 3 == 0 for i in range(90)],
             "age": pd.array([i % 2 or None for i in range(90)], dtype="Int64")}
        ).to_parquet("rows.parquet")  # fmt: skip

        code, out, _ = run(name, *asked)

        assert code == 0
        assert run("rows.parquet", *asked)[1] == out
        assert {key[1] for key in measured(out) if key[0] == "accuracy"} == {"1", "unknown"}

    def test_a_table_of_counts_gives_what_its_rows_would(self, run: Run, write: Callable[..., str]) -> None:
        everybody = [row[:3] for row in COMPAS[1:] for _ in range(row[3])]
        asked = [each for each in ASKED_OF_COMPAS if each not in ("--count", "people")]

        counted = run(write(COMPAS), *ASKED_OF_COMPAS, "--json")[1]

        assert run(write([COMPAS[0][:3], *everybody], "all.csv"), *asked, "--json")[1] == counted

    def test_with_the_law_it_has_its_tables_too(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("sex", "race", "score", "chosen")] + [
            ("mw"[i % 2], "ab"[i % 3 > 0], i, int(i > 50)) for i in range(90)
        ]
        asked = ["--protected", "sex", "--protected", "race", "--local-law-144", "--json"]

        code, out, _ = run(write(rows), "--prediction", "chosen", "--score", "score", *asked)

        found = json.loads(out)["local_law_144"]
        assert code == 0
        assert (found["selection"]["rate"], found["scoring"]["rate"]) == ("selection rate", "scoring rate")
        assert found["scoring"]["median"] == 44.5
        assert [table["attribute"] for table in found["scoring"]["tables"]] == ["sex", "race", "sex × race"]
        alone = json.loads(run("rows.csv", "--score", "score", *asked)[1])
        assert alone == {"measurements": [], "local_law_144": {"scoring": found["scoring"]}}


class TestIntersections:
    ROWS = [("p", "a", "b", "c")] + [(i % 2, i % 2, i % 3, i % 5) for i in range(90)]
    ASKED = ["--prediction", "p", "--protected", "a", "--protected", "b", "--protected", "c", "--json"]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("options", "crossed"),
        [
            ([], {"a × b", "a × c", "b × c", "a × b × c"}),
            (["--intersection", "all"], {"a × b", "a × c", "b × c", "a × b × c"}),
            (["--intersection", "none"], set()),
            (["--intersection", "a×b"], {"a × b"}),
            (["--intersection", "a*c", "--intersection", "c, b"], {"a × c", "c × b"}),
        ],
        ids=["by default all", "all", "none", "one", "two"],
    )
    def test_they_are_those_that_were_named(
        self, run: Run, write: Callable[..., str], options: list[str], crossed: set[str]
    ) -> None:
        found = measured(run(write(self.ROWS), *self.ASKED, *options)[1])

        assert {key[1] for key in found if key[0] == "share_compared"} == {"a", "b", "c"} | crossed

    def test_those_with_too_many_groups_are_left_out_and_named(
        self, run: Run, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("governance.measures.fairness.MOST_GROUPS", 30)

        out = run(write(self.ROWS), *self.ASKED)[1]

        assert json.loads(out)["not_crossed"] == [["a", "b", "c"]]
        assert "Not crossed, for they have more than 30 groups: a × b × c." in run("rows.csv", *self.ASKED[:-1])[1]

    def test_of_many_attributes_they_have_to_be_named(self, run: Run, write: Callable[..., str]) -> None:
        names = "abcdefghi"
        protected = [part for name in names for part in ("--protected", name)]

        code, _, error = run(write([("p", *names), (1, *names)]), "--prediction", "p", *protected)

        assert code == 1
        assert "All intersections of 9 attributes are 502." in error


class TestOtherTasks:
    def test_classes_without_a_favourable_one_are_compared_by_accuracy(
        self, run: Run, write: Callable[..., str]
    ) -> None:
        rows = [("y", "p", "sex")] + [("abc"[i % 3], "abc"[i % 3 if i % 4 else 0], "mw"[i % 2]) for i in range(120)]
        asked = ["--label", "y", "--prediction", "p", "--protected", "sex", "--task", "multiclass_classification"]

        found = measured(run(write(rows), *asked, "--json")[1])

        frame = pd.DataFrame(rows[1:], columns=rows[0])
        right = (frame.y == frame.p).groupby(frame.sex).mean()
        assert found["accuracy", "m"] == pytest.approx(right["m"])
        assert found["accuracy_difference", "sex"] == pytest.approx(abs(right["m"] - right["w"]))
        assert {key[0] for key in found} == {"accuracy", "accuracy_difference", "share_compared"}

    def test_one_class_against_the_rest_has_to_be_asked_for(self, run: Run, write: Callable[..., str]) -> None:
        """ProPublica counts Medium and High as high: Low against the rest."""
        rows = [("race", "score", "n"), ("a", "Low", 30), ("a", "Medium", 20), ("a", "High", 10), ("b", "Low", 40)]
        asked = ["--prediction", "score", "--protected", "race", "--count", "n", "--favourable", "Low", "--json"]

        assert "Expected two values in 'score', found 3" in run(write(rows), *asked)[2]
        found = measured(run("rows.csv", *asked, "--task", "multiclass_classification")[1])
        assert (found["selection_rate", "a"], found["selection_rate", "b"]) == (0.5, 1.0)

    def test_a_regression_is_measured_by_mean_and_error(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("wage", "said", "sex")] + [(20 + i % 7, 21 + i % 5, "mw"[i % 2]) for i in range(120)]
        asked = ["--label", "wage", "--prediction", "said", "--protected", "sex", "--task", "regression"]

        found = measured(run(write(rows), *asked, "--json")[1])

        frame = pd.DataFrame(rows[1:], columns=rows[0])
        errors = (frame.said - frame.wage).groupby(frame.sex).mean()
        assert found["mean_error", "m"] == pytest.approx(errors["m"])
        assert re.search(r"^m +60 +23\.00 ± 0\.\d\d", run("rows.csv", *asked)[1], re.MULTILINE)


class TestWhatIsUnknown:
    def test_missing_and_named_values_are_one_group(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("p", "sex"), *[(1, "men")] * 40, *[(0, "")] * 20, *[(0, "Unknown")] * 10, *[(0, "Declined")] * 15]
        asked = ["--prediction", "p", "--protected", "sex", "--json"]

        found = json.loads(run(write(rows), *asked, "--unknown", "declined")[1])["measurements"]

        selected = {each["slice"]["sex"]: each["n"] for each in found if each["name"] == "fairness.selection_rate"}
        assert selected == {"men": 40, "unknown": 45}


class TestForPeople:
    def test_everything_fits_into_eighty_columns_without_colour(self, run: Run, write: Callable[..., str]) -> None:
        groups = ["Native Hawaiian or Pacific Islander (Not Hispanic or Latino)", "White (Not Hispanic or Latino)"]
        rows = [("race", "sex", "y", "p", "n")] + [
            (race, sex, y, p, 987_654) for race in groups for sex in ("Male", "Female") for y in (0, 1) for p in (0, 1)
        ]
        asked = ["--label", "y", "--prediction", "p", "--protected", "race", "--protected", "sex", "--count", "n"]

        code, out, _ = run(write(rows), *asked, "--local-law-144")

        assert code == 0
        assert max(map(len, out.splitlines())) <= 80
        assert "\x1b" not in out

    def test_below_four_fifths_is_marked_and_judged_nowhere(self, run: Run, write: Callable[..., str]) -> None:
        rows = [
            ("p", "sex"),
            *[(int(i < 70), "men") for i in range(100)],
            *[(int(i < 55), "women") for i in range(100)],
        ]

        code, out, _ = run(write(rows), "--prediction", "p", "--protected", "sex")

        assert code == 0
        assert re.search(r"^men +100 +70.00 +1.000 *$", out, re.MULTILINE)
        assert re.search(r"^women +100 +55.00 +0.786 < 4/5$", out, re.MULTILINE)
        assert re.search(r"^Disparate impact ratio +0.7857 .* < 4/5", out, re.MULTILINE)
        assert "Without --label nothing is known of errors" in out

    def test_a_small_group_is_starred_and_explained(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("p", "sex"), *[(i % 2, "men") for i in range(100)], *[(1, "women")] * 29]

        _, out, _ = run(write(rows), "--prediction", "p", "--protected", "sex")

        assert re.search(r"^women +29\* +100.00 +– *$", out, re.MULTILINE)
        assert "* fewer than 30: reported, compared with nobody." in out
        assert "not enough data" in out

    @pytest.mark.parametrize(
        ("value", "places", "times", "text"),
        [(0.125, 2, 1, "0.13"), (0.8125, 3, 1, "0.813"), (805 / 1795, 2, 100, "44.85"), (1.0, 2, 100, "100.00")],
    )
    def test_halves_are_rounded_up(self, value: float, places: int, times: int, text: str) -> None:
        assert command.decimals(value, places, times) == text


class TestBadInput:
    ROWS = [("approved", "decision", "race", "place"), ("yes", "no", "a", "c"), ("no", "no", "b", "d")]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["nope.csv", "--prediction", "p", "--protected", "race"], "a file of predictions at nope.csv, found none"),
            (["rows.csv", "--prediction", "decision"], "Expected --protected COLUMN, once for each"),
            (["rows.csv", "--protected", "race"], "Expected --prediction COLUMN (or --score COLUMN"),
            (
                ["rows.csv", "--prediction", "decison", "--protected", "race"],
                "'decison' in rows.csv (--prediction), found approved, decision, race, place. Did you mean `decision`?",
            ),
            (["rows.csv", "--prediction", "decision", "--protected", "sex"], "column 'sex' in rows.csv (--protected)"),
            (
                ["rows.csv", "--prediction", "approved", "--protected", "race"],
                "in 'approved', found 'yes' and 'no'. Say which is favourable: --favourable yes or --favourable no.",
            ),
            (
                ["rows.csv", "--prediction", "approved", "--protected", "race", "--favourable", "Yes"],
                "--favourable to be a value of approved, found 'Yes'. They hold 'no' and 'yes'.",
            ),
            (
                ["rows.csv", "--prediction", "place", "--label", "approved", "--protected", "race",
                 "--favourable", "yes"],
                "None of the favourable values (yes) is in 'place', which holds 'c' and 'd'.",
            ),
            (
                ["rows.csv", "--prediction", "decision", "--protected", "race", "--task", "regresion"],
                "Expected --task as binary_classification, multiclass_classification or regression",
            ),
            (
                ["rows.csv", "--prediction", "decision", "--protected", "race", "--task", "regression"],
                "Expected numbers in 'decision', found 'no'.",
            ),
            (
                ["rows.csv", "--prediction", "decision", "--protected", "race", "--task", "multiclass_classification"],
                "name the label with --label",
            ),
            (
                ["rows.csv", "--prediction", "place", "--label", "approved", "--protected", "race",
                 "--task", "multiclass_classification"],
                "Expected the same classes in 'approved' and 'place'",
            ),
            (
                ["rows.csv", "--prediction", "decision", "--protected", "race", "--count", "place",
                 "--favourable", "yes"],
                "Column 'place' (--count): Expected whole numbers from 0 as counts",
            ),
            (
                ["rows.csv", "--prediction", "decision", "--protected", "race", "--intersection", "race×sex"],
                "two or more of the protected attributes (race)",
            ),
            (
                ["rows.csv", "--prediction", "race", "--protected", "race"],
                "Expected --protected to be another column than --prediction, found 'race' for both",
            ),
            (["rows.csv", "--score", "decision", "--protected", "race"], "--score is for --local-law-144"),
            (
                ["rows.csv", "--score", "decision", "--protected", "race", "--local-law-144"],
                "Expected numbers in 'decision', found 'no'.",
            ),
            (["holes.csv", "--prediction", "p", "--protected", "sex"], "found none in 2 rows, the first of them row 2"),
            (["empty.csv", "--prediction", "p", "--protected", "sex"], "empty.csv is empty"),
            (["header.csv", "--prediction", "p", "--protected", "sex"], "Expected rows in header.csv, found 0 rows"),
        ],
    )  # fmt: skip
    def test_it_is_one_message_and_exit_code_1(
        self, run: Run, write: Callable[..., str], arguments: list[str], told: str
    ) -> None:
        write(self.ROWS)
        write([("p", "sex"), (1, "m"), ("", "w"), (0, "m"), ("", "m")], "holes.csv")
        write([], "empty.csv")
        write([("p", "sex")], "header.csv")

        code, out, error = run(*arguments)

        assert (code, out) == (1, "")
        assert told in error
        assert len(error.strip().splitlines()) == 1

    def test_a_column_of_names_is_no_protected_attribute(self, run: Run, write: Callable[..., str]) -> None:
        rows = [("p", "name")] + [(i % 2, f"person {i}") for i in range(10_001)]

        code, _, error = run(write(rows), "--prediction", "p", "--protected", "name")

        assert code == 1
        assert "found 10001 values in 'name'. Name a column of groups, such as age bands." in error
