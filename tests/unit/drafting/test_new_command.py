"""``governance new``: what is typed, what is answered."""

import io
import json

import pytest
from drafts import Desk, applicants

from governance import cli


@pytest.fixture
def run(desk: Desk, monkeypatch, capsys):
    monkeypatch.setenv("GOVERNANCE_ROOT", str(desk.root))
    monkeypatch.chdir(desk.root)
    desk.file(applicants())

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["new", "it", "--data", "rows.csv", "--target", "approved", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


class Terminal(io.StringIO):
    """Standard input or error of somebody who sits there."""

    def isatty(self) -> bool:
        return True


def test_it_says_what_was_written_what_was_decided_and_what_is_next(run, desk):
    code, out, _ = run("--yes", "--tier", "low", "--owner", "priya", "--developer", "luis", "--developer", "ken")

    assert code == 0
    assert f"Written: {desk.settings.models / 'it'}" in out
    for said in (
        "binary_classification: the target has two values",
        "1: `1` reads like good news",
        "low: as named",
        "priya; developers luis, ken",
        "sex, from `sex`",
        "2: income, job",
        "all met by these data",
        "governance check it",
        "governance try it",
    ):
        assert said in out


def test_as_json_it_is_one_document(run):
    code, out, _ = run("--yes", "--json")

    document = json.loads(out)
    assert code == 0
    assert document["features"] == ["income", "job"]
    assert document["protected"] == {"sex": {"column": "sex"}, "age": {"column": "age", "bands": [40, 62]}}
    assert document["next"] == ["governance check it", "governance try it"]


def test_with_nobody_there_it_is_one_message_and_exit_code_1(run, desk):
    code, out, err = run()

    assert (code, out) == (1, "")
    assert "governance new it --data rows.csv --target approved --protected sex --protected age" in err
    assert desk.models == []


def test_a_program_that_reads_json_is_asked_nothing(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y\ny\n"))
    monkeypatch.setattr("sys.stderr", Terminal())

    code, out, _ = run("--json")

    assert code == 1
    assert "a person must say so" in json.loads(out)["error"]["message"]


def test_at_a_terminal_a_person_answers_on_standard_error(run, desk, monkeypatch):
    error = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal("y\nn\n"))
    monkeypatch.setattr("sys.stderr", error)

    code, out, _ = run()

    assert code == 0
    assert "Protected by its name: sex, from `sex`" in error.getvalue()
    assert "Protected by its name" not in out
    assert list(desk.spec().protected) == ["sex"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--task", "clustering"),
            "Expected --task to be binary_classification, multiclass_classification, regression",
        ),
        (("--tier", "top"), "Expected --tier to be high, medium, low, found 'top'"),
    ],
)
def test_a_word_that_is_none_is_told_with_those_that_are(run, words, expected):
    code, _, err = run("--yes", *words)

    assert code == 1
    assert expected in err
