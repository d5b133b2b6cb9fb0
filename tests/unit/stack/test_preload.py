"""What is imported before tasks are forked: libraries that exist, nothing of ours, in the scheduler alone."""

import importlib.util
import runpy
import sys

import pytest

from governance.settings import ROOT

FILE = ROOT / "stack" / "preload" / "airflow_local_settings.py"


@pytest.fixture
def settings(monkeypatch):
    """The file as a process that forks no tasks runs it."""
    monkeypatch.setattr(sys, "argv", ["airflow", "triggerer"])
    return runpy.run_path(str(FILE))


def test_every_library_is_installed(settings):
    missing = [name for name in settings["LIBRARIES"] if importlib.util.find_spec(name) is None]
    assert missing == []


def test_nothing_of_ours_is_among_them_for_a_task_runs_the_code_of_its_own_start(settings):
    ours = {path.stem for folder in ("include", "plugins", ".") for path in (ROOT / folder).iterdir()}
    assert ours.isdisjoint(name.partition(".")[0] for name in settings["LIBRARIES"])


def test_airflow_takes_nothing_in_it_for_a_setting(settings):
    assert settings["__all__"] == []


@pytest.mark.parametrize(
    ("command", "imports"), [("scheduler", True), ("celery", True), ("triggerer", False), ("api-server", False)]
)
def test_only_the_process_that_forks_tasks_imports_them(monkeypatch, command, imports):
    asked = []
    monkeypatch.setattr(sys, "argv", ["airflow", command, "--help"])
    monkeypatch.setattr("importlib.import_module", lambda name: asked.append(name))

    found = runpy.run_path(str(FILE))

    assert asked == (list(found["LIBRARIES"]) if imports else [])


def test_a_library_that_is_missing_is_left_to_the_task_that_needs_it(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(sys, "argv", ["airflow", "scheduler"])
    monkeypatch.setattr("importlib.import_module", missing)
    runpy.run_path(str(FILE))
