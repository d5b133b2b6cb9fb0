"""One world for the session; tests that change it copy its folders first."""

import shutil
from pathlib import Path

import pytest

from tests.unit.release.permitted_world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory):
    """The folder with ``model/``, and its manifest."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, world.train(folder / "model")


@pytest.fixture
def document(world: World, trained):
    return world.judge(trained[1])


@pytest.fixture
def laid_out(world: World, trained, document, tmp_path: Path) -> Path:
    """``model/`` and ``permit/`` of a properly signed version, to be changed at will."""
    folder = tmp_path / "fetched"
    shutil.copytree(trained[0], folder)
    return world.lay_out(folder, document, world.approve(document))
