"""A full disk: said as such, nothing half-written, and done as soon as there is room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from governance.errors import no_room
from governance.settings import ROOT

SCRIPT = Path(__file__).with_name("on_a_full_disk.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    disk = tmp_path_factory.mktemp("disk")
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*alone, sys.executable, str(SCRIPT), str(disk)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize("what", ["snapshot", "model"])
def test_it_is_said_in_one_sentence_that_nothing_was_recorded(told: dict, what: str) -> None:
    said = told["full"][what]
    assert "No space left on device" in said
    assert "Nothing was recorded" in said
    assert "Traceback" not in said


def test_no_model_is_left_that_is_not_whole(told: dict) -> None:
    assert "model" not in told["left"]
    assert [name for name in told["left"] if name.startswith(".model")] == []


def test_with_room_the_same_is_written_whole(told: dict) -> None:
    assert told["roomy"] == {"snapshot": None, "model": None}
    assert told["model"] == ["manifest.json", "model.json", "model.skops", "signature.json"]


def test_any_other_error_of_the_system_is_not_called_a_full_disk() -> None:
    assert no_room(PermissionError(13, "Permission denied")) is None
    assert no_room(ValueError("no room")) is None
