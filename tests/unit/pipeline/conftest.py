"""A checkout with one small model, and runs of it on a ledger in memory."""

import os
import tempfile

# Before anything imports Airflow, which writes its configuration where this points.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))

from collections.abc import Callable
from pathlib import Path

import pytest

from governance.pipeline.run import Request, Run
from tests.unit.release.permitted_world import MODEL, SAM, World, rows


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The checkout; its data are in the model's folder."""
    world = World.make(tmp_path / "checkout")
    rows().to_csv(world.spec.folder / "tiny.csv", index=False)
    return world


@pytest.fixture
def ledger():
    from tests.unit.plugins.stand_in import LedgerInMemory

    return LedgerInMemory()


@pytest.fixture
def run_of(world: World, ledger) -> Callable[..., Run]:
    """Return a function: source typed in when the run was triggered, name of the run → run."""

    def open_run(source: str | None = None, run_id: str = "run-1", **settings: str) -> Run:
        here = world.with_services(**settings)
        request = Request("A test needs it.", {}, source, "minor", SAM)
        return Run(here.settings, ledger, here.spec, here.policy, here.people, run_id, request)

    return open_run


@pytest.fixture
def uploads(world: World) -> Path:
    """The folder of files that a run may name without a review."""
    folder = world.root / "data" / MODEL
    folder.mkdir(parents=True)
    return folder
