"""A private copy of the loan folder, the policies and the people, to break one thing at a time."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from one_model import Checkout

from governance.settings import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for place in ("models/loan", "policies", "people.yaml"):
        source, target = ROOT / "include" / place, tmp_path / "include" / place
        copy: Callable = shutil.copytree if source.is_dir() else shutil.copy
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(source, target)
    return Checkout(tmp_path)
