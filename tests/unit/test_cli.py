"""The command line is a contract: exit codes, one JSON document, help that works, and never a traceback."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path

import pytest

from governance import cli
from governance.settings import ROOT

COMMANDS = [
    ("models",), ("new",), ("check",), ("try",), ("fairness",), ("drift",), ("validate",), ("register",),
    ("evidence",), ("permit",), ("live",), ("drill",), ("serve",),
    ("ledger", "verify"), ("ledger", "show"), ("ledger", "export"),
    ("predictions", "verify"), ("predictions", "labels"),
]  # fmt: skip
HEAVY = {"pandas", "numpy", "sklearn", "mlflow", "shap", "great_expectations", "scipy", "psycopg", "rich", "pydantic"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private checkout of one model, and an environment that names nothing else."""
    for place in ("models/loan", "policies"):
        shutil.copytree(ROOT / "include" / place, tmp_path / "include" / place)
    shutil.copy(ROOT / "include" / "people.yaml", tmp_path / "include")
    for name in [name for name in os.environ if name.startswith("GOVERNANCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOVERNANCE_ROOT", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def run(checkout: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


class TestHelp:
    def test_the_commands_of_the_design_are_there(self, run: Run) -> None:
        code, out, _ = run("--help")

        assert code == 0
        for command in ("models", "check", "try", "evidence", "permit", "live", "ledger", "serve"):
            assert re.search(rf"^  {command} ", out, re.MULTILINE)

    def test_without_a_command_it_is_the_help(self, run: Run) -> None:
        assert run() == run("--help")

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_every_command_has_help_with_an_example_that_is_accepted(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        code, out, _ = run(*command, "--help")
        (example,) = re.findall(r"Example: (.+)", out)

        assert code == 0
        assert shlex.split(example)[: len(command) + 1] == ["governance", *command]
        monkeypatch.setattr(cli, "_answer", lambda ask, as_json: 0)
        monkeypatch.setattr("uvicorn.run", lambda *positional, **named: None)
        assert run(*shlex.split(example)[1:])[0] == 0

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_help_fits_into_eighty_columns(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")

        assert max(map(len, run(*command, "--help")[1].splitlines())) <= 80

    @pytest.mark.parametrize("command", [c for c in COMMANDS if c != ("serve",)], ids=" ".join)
    def test_every_answer_can_be_had_as_json(self, run: Run, command: tuple[str, ...]) -> None:
        assert "--json" in run(*command, "--help")[1]


class TestWhatIsImported:
    @pytest.mark.parametrize(
        ("arguments", "allowed"),
        [(["--help"], set()), (["check", "loan", "--no-data"], {"pydantic", "rich"})],
        ids=["--help", "check loan --no-data"],
    )
    def test_the_quick_commands_import_nothing_heavy(self, arguments: list[str], allowed: set[str]) -> None:
        program = f"import sys; from governance.cli import main; main({arguments}); print({HEAVY!r} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_env())

        assert literal_eval(done.stdout.splitlines()[-1]) <= allowed


def _env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GOVERNANCE_")}
    return {**kept, "PYTHONPATH": str(ROOT / "include")}


class TestWhatCannotBeDone:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["chek"], "No such command 'chek'. Did you mean 'check'? See `governance --help`."),
            (["check", "--nope"], "No such option: --nope. See `governance check --help`."),
            (["live"], "Missing argument 'model'. See `governance live --help`."),
            (["check", "lone"], "found none. Known models: loan."),
            (["try", "lone"], "found none. Known models: loan."),
            (["try", "loan", "--set", "max_iter"], "Expected --set NAME=VALUE, such as max_iter=80, found 'max_iter'."),
            (["live", "loan"], "Expected GOVERNANCE_LEDGER_URL to be set, found nothing."),
            (["ledger", "verify"], "Start the stack with `make up`"),
        ],
    )
    def test_it_is_one_message_on_standard_error_and_exit_code_1(
        self, run: Run, arguments: list[str], told: str
    ) -> None:
        code, out, error = run(*arguments)

        assert (code, out) == (1, "")
        assert told in error
        assert len(error.strip().splitlines()) == 1

    def test_as_json_it_is_one_document(self, run: Run) -> None:
        code, out, _ = run("live", "loan", "--json")

        assert (code, json.loads(out)["error"]["kind"], json.loads(out)["error"]["exit_code"]) == (1, "InputError", 1)

    def test_an_unknown_setting_is_named(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVERNANCE_LEDGER_ULR", "x")

        code, _, error = run("models")

        assert code == 1
        assert "Unknown setting GOVERNANCE_LEDGER_ULR. Known: " in error

    def test_a_ledger_that_does_not_answer_is_1(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://nobody@127.0.0.1:1/none")

        code, out, error = run("ledger", "verify")

        assert (code, out) == (1, "")
        assert "Expected the ledger to" in error

    def test_a_fault_of_ours_shows_no_traceback_and_says_where_it_is_written(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise KeyError("surprise")

        monkeypatch.setattr("governance.commands.folders.models", fail)

        code, out, error = run("models")

        assert (code, out) == (1, "")
        assert error.startswith("This is a fault of ours: KeyError: 'surprise'.")
        assert "Traceback" not in error
        (written,) = re.findall(r"written in (\S+);", error)
        assert "Traceback" in Path(written).read_text()

    def test_whoever_stops_reading_gets_no_traceback(self) -> None:
        program = "import sys; from governance.cli import main; sys.exit(main(['check', 'loan', '--no-data']))"
        done = subprocess.run(
            ["bash", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} | true"],
            capture_output=True, text=True, check=False, env=_env(),
        )  # fmt: skip

        assert "Traceback" not in done.stderr


class TestCheck:
    def test_a_right_folder_is_0(self, run: Run) -> None:
        code, out, error = run("check", "loan", "--no-data")

        assert (code, error) == (0, "")
        assert out.splitlines()[-1] == "loan: right, no fault"

    def test_a_faulty_folder_is_1_with_a_line_for_each_fault(self, run: Run, checkout: Path) -> None:
        path = checkout / "include" / "models" / "loan" / "model.yaml"
        path.write_text(path.read_text().replace("title:", "titel:").replace("seed: 0", "seed: zero"))

        code, out, _ = run("check", "--no-data")

        assert code == 1
        assert "include/models/loan/model.yaml:3: Unknown key `titel`. Did you mean `title`?\n" in out
        assert out.splitlines()[-1] == "loan: 3 faults"

    def test_as_json_every_fault_has_file_line_found_and_remedy(self, run: Run, checkout: Path) -> None:
        (checkout / "include" / "models" / "loan" / "train.py").unlink()

        code, out, _ = run("check", "loan", "--json", "--no-data")

        assert code == 1
        assert json.loads(out)["models"][0]["faults"] == [
            {
                "file": "include/models/loan/train.py",
                "line": 1,
                "found": "This file is missing.",
                "remedy": "Write `def fit(frame, params):`; it returns a fitted classifier.",
            }
        ]

    def test_all_folders_are_checked_and_one_without_a_spec_is_not_overlooked(self, run: Run, checkout: Path) -> None:
        (checkout / "include" / "models" / "draft").mkdir()

        code, out, _ = run("check", "--no-data")

        assert code == 1
        assert "loan: right, no fault" in out
        assert "draft: this folder has no model.yaml, so it is not governed." in out

    def test_the_data_are_looked_into_where_that_is_quick(self, run: Run, checkout: Path) -> None:
        path = checkout / "include" / "models" / "loan" / "model.yaml"
        path.write_text(path.read_text().replace("  gdlin:", "  gdlinn:"))

        assert run("check", "loan", "--no-data")[0] == 0
        assert "no column `gdlinn`" in run("check", "loan")[1]


class TestModels:
    def test_lists_what_is_governed_also_without_a_ledger(self, run: Run) -> None:
        code, out, _ = run("models", "--json")

        assert (code, json.loads(out)) == (
            0,
            {
                "models": [
                    {
                        "name": "loan",
                        "title": "Mortgage approval",
                        "owner": {"team": "Mortgage lending", "person": "priya"},
                        "tier": "high",
                        "fault": None,
                        "champion": None,
                        "permit": None,
                        "verdict": None,
                        "drift": None,
                    }
                ],
                "ledger": False,
            },
        )

    def test_for_people_it_fits_into_eighty_columns_without_colour(self, run: Run) -> None:
        _, out, _ = run("models")

        assert "Mortgage approval" in out
        assert max(map(len, out.splitlines())) <= 80
        assert "\x1b" not in out

    def test_a_folder_that_cannot_be_read_is_still_listed(self, run: Run, checkout: Path) -> None:
        (checkout / "include" / "models" / "loan" / "model.yaml").write_text("name: loan\n")

        code, out, _ = run("models", "--json")

        assert code == 0
        assert "run `governance check loan`" in json.loads(out)["models"][0]["fault"]

    def test_no_model_at_all_says_so(self, run: Run, checkout: Path) -> None:
        shutil.rmtree(checkout / "include" / "models")

        assert "No model is governed yet" in run("models")[1]


def test_nothing_that_a_library_prints_gets_into_the_document(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from governance.commands import folders

    real = folders.models

    def noisy(settings: object) -> object:
        print("downloading 3 %")
        return real(settings)

    monkeypatch.setattr(folders, "models", noisy)

    _, out, error = run("models", "--json")

    assert json.loads(out)["models"]
    assert "downloading" in error
