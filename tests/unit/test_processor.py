"""numpy is told to sort with AVX2 on the one processor where that is faster, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from governance.settings import ROOT

ZEN_4 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: avx2 avx512f\n\nprocessor\t: 1\n"
PROGRAM = """
import os, sys, warnings
from pathlib import Path
{before}
from governance.processor import prefer_fast_sorting
prefer_fast_sorting(Path(sys.argv[1]))
import numpy
assert list(numpy.sort([3, 1, 2])) == [1, 2, 3]
print(os.environ.get("NPY_DISABLE_CPU_FEATURES"))
"""


def told(cpus: Path, before: str = "", **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NPY_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before), str(cpus)],
        env={**kept, "PYTHONPATH": str(ROOT / "include"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def zen_4(tmp_path: Path) -> Path:
    (tmp_path / "cpuinfo").write_text(ZEN_4)
    return tmp_path / "cpuinfo"


def test_on_zen_4_avx_512_is_left_out(zen_4: Path) -> None:
    assert told(zen_4) == "X86_V4"


@pytest.mark.parametrize(("ours", "others"), [(": 25", ": 26"), ("AuthenticAMD", "GenuineIntel"), ("avx512f", "")])
def test_elsewhere_numpy_is_left_alone(zen_4: Path, ours: str, others: str) -> None:
    zen_4.write_text(ZEN_4.replace(ours, others))
    assert told(zen_4) == "None"


def test_where_nothing_tells_numpy_is_left_alone(tmp_path: Path) -> None:
    assert told(tmp_path / "none") == "None"


def test_what_the_environment_says_already_stays(zen_4: Path) -> None:
    assert told(zen_4, NPY_DISABLE_CPU_FEATURES="AVX512_ICL") == "AVX512_ICL"


def test_once_numpy_is_imported_nothing_is_said(zen_4: Path) -> None:
    assert told(zen_4, "import numpy") == "None"
