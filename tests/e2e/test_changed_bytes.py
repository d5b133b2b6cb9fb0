"""One changed byte between signature and release stops the release; put back, it goes on."""

from pathlib import Path

import pytest
from system import until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tampered(runs):
    """A run of the small model that waits for its signature."""
    return runs["tamper"].wait_until_asked()


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def model_file(world, run) -> Path:
    found = (world.stack.state / "mlflow" / "artifacts").rglob(
        f"{run.evidence.data['mlflow_run']}/artifacts/model/model.skops"
    )
    return next(found)


def snapshot_file(run, ending: str) -> Path:
    """A file that the run's own snapshot names: beside it may lie one that a writer left who came second."""
    part = run.entries("snapshot")[-1].data["snapshot"]["parts"]["data"]
    return next(Path(part["uri"], file["path"]) for file in part["files"] if file["path"].endswith(ending))


def test_a_changed_byte_stops_the_release_and_nothing_is_moved(world, tampered):
    files = {
        "model": model_file(world, tampered),
        "Parquet": snapshot_file(tampered, ".parquet"),
        "_delta_log": snapshot_file(tampered, ".json"),
    }
    champion_before = world.client("ken").get("/governance/api/requests")
    for path in files.values():
        flip(path)
    assert tampered.decide("maria").status_code == 200
    assert tampered.wait_until_ended() == "failed"
    assert tampered.released() == []

    for name, path in files.items():
        others = [other for other in files.values() if other != path]
        for other in others:
            flip(other)  # back: now this file alone is changed
        _release_again(tampered)
        assert tampered.task_state("release") == "failed", f"{name}: one changed byte was released"
        assert tampered.released() == []
        for other in others:
            flip(other)
    for path in files.values():
        flip(path)
    _release_again(tampered)

    assert champion_before
    assert tampered.task_state("release") == "success"
    assert len(tampered.released()) == 1


def _release_again(run) -> None:
    """Clear the release as a person would, once the run has ended, and wait until it ended again."""
    run.wait_until_ended()
    run.engineer.clear(run.dag_id, run.run_id, ["release"], downstream=True)
    until(lambda: run.engineer.run_state(run.dag_id, run.run_id) in ("queued", "running"), "the run starts again", 60)
    run.wait_until_ended()
