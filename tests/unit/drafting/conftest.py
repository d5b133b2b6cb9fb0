"""A checkout without models."""

import shutil
from pathlib import Path

import pytest
from drafts import Desk

from governance.settings import ROOT


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    include = tmp_path / "include"
    (include / "models").mkdir(parents=True)
    shutil.copytree(ROOT / "include" / "policies", include / "policies")
    shutil.copy(ROOT / "include" / "people.yaml", include / "people.yaml")
    return Desk(tmp_path)
