import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[3] / "stack" / "setup.sh"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout on a machine with a shell and nothing else."""
    (tmp_path / "checkout" / "stack").mkdir(parents=True)
    shutil.copy(SETUP, tmp_path / "checkout" / "stack")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("dirname", "cat", "cksum", "date"):
        (tools / tool).symlink_to(shutil.which(tool))
    return tmp_path


def _setup(machine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "bin"), "HOME": str(machine), **variables}
    script = machine / "checkout" / "stack" / "setup.sh"
    return subprocess.run(["/bin/sh", str(script)], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(
    any(Path("/usr/local/bin").glob("python3.1[123]")) or any(Path("/opt").glob("python*/bin/python3")),
    reason="this machine has a Python at a place that is always looked at",
)
def test_without_a_fitting_python_it_says_what_to_do(bare: Path) -> None:
    result = _setup(bare)
    assert result.returncode == 1
    assert "Expected Python 3.11, 3.12 or 3.13, found none of them." in result.stderr
    assert "apt-get install python3" in result.stderr


def test_a_python_that_is_too_old_is_passed_over(bare: Path) -> None:
    old = bare / "bin" / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert _setup(bare, PYTHON=str(old)).returncode == 1


def test_a_python_without_venv_is_named_with_the_package_to_install(bare: Path) -> None:
    half = bare / "bin" / "python3"
    half.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    half.chmod(0o755)
    result = _setup(bare)
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr


def test_it_installs_once_and_again_only_when_the_lock_changes(bare: Path) -> None:
    checkout = bare / "checkout"
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Stands for an interpreter whose pip has nothing to download.
    python.write_text('#!/bin/sh\ncase "$1" in --version) echo 3;; -m) echo "$@" >>installed;; esac\n')
    python.chmod(0o755)
    for name in ("requirements.txt", "pyproject.toml", "requirements-dev.txt"):
        (checkout / name).write_text(name)

    assert "Installing the locked requirements" in _setup(bare).stdout
    assert "--require-hashes -r requirements.txt\n" in (checkout / "installed").read_text()
    again = _setup(bare)
    assert (again.returncode, again.stdout) == (0, "")
    (checkout / "requirements.txt").write_text("changed")
    assert "Installing the locked requirements" in _setup(bare).stdout
