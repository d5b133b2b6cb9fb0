"""Data that break the contract: into quarantine, with a page that people can open, and no further."""

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from governance.errors import RefusedError, UnavailableError
from governance.pipeline.ingest import ingest, snapshot_of
from governance.pipeline.train import train
from governance.pipeline.validate import validate, validation_of
from governance.training import tracking
from tests.unit.release.permitted_world import MODEL, rows

MLFLOW = "http://mlflow.test:5000"
GROUP = "canary group"
ADDRESS = re.compile(rf"{MLFLOW}/#/experiments/(\d+)/runs/([0-9a-f]{{32}})/artifacts/quarantine\.html")


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without anything in it; it takes seconds to make."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def client(empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """MLflow's own client on a database in a file, in the place of one that asks the server."""
    from mlflow import MlflowClient

    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    client.create_experiment(MODEL, artifact_location=str(tmp_path / "artifacts"))

    @contextmanager
    def connected(url: str):
        assert url == MLFLOW
        yield client

    monkeypatch.setattr(tracking, "_client", connected)
    return client


@pytest.fixture
def broken(world) -> None:
    """Two rows break the contract; their protected group is a word that must not be shown."""
    frame = rows()
    frame.loc[[3, 12], "age"] = 7
    frame["group"] = [GROUP, f"{GROUP} two"] * (len(frame) // 2)
    frame.to_csv(world.spec.folder / "tiny.csv", index=False)


@pytest.fixture
def run(run_of):
    """An ingested run."""
    run = run_of(GOVERNANCE_MLFLOW_URL=MLFLOW)
    ingest(run)
    return run


@pytest.fixture
def asked_again(run_of):
    """Return a function: name of another run of the same data → the run, ingested."""

    def again(run_id: str):
        run = run_of(run_id=run_id, GOVERNANCE_MLFLOW_URL=MLFLOW)
        ingest(run)
        return run

    return again


def validations(ledger) -> list:
    return [entry.data for entry in ledger.entries if entry.kind == "validation"]


def files(world) -> list[Path]:
    return sorted(path for path in (world.settings.state / "quarantine").rglob("*") if path.is_file())


def runs_in(client) -> list:
    return client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])


def demand(world, **bounds: float) -> None:
    """Change what the contract demands of ages."""
    contract = json.loads(world.spec.contract.read_text())
    for one in contract["expectations"]:
        if one["type"].endswith("be_between") and one["kwargs"]["column"] == "age":
            one["kwargs"].update(bounds)
    world.spec.contract.write_text(json.dumps(contract))


def test_data_that_meet_the_contract_go_on_without_a_page(run, ledger, world):
    done = validate(run)

    assert (done.failed, done.messages) == (None, ())
    assert done.summary == {"expectations": 10, "failed": 0}
    assert validation_of(run, snapshot_of(run)).data["success"] is True
    assert (validations(ledger)[0]["page"], files(world)) == (None, [])


@pytest.mark.usefixtures("broken")
def test_a_breach_is_recorded_and_told_with_the_address_of_its_page(run, ledger, client):
    done = validate(run)
    [recorded], [message] = validations(ledger), done.messages

    assert recorded["success"] is False
    assert ADDRESS.fullmatch(recorded["page"])
    assert message.text == done.failed
    assert done.failed.endswith(recorded["page"])
    assert "age: expected" in done.failed
    assert str(run.settings.state) not in done.failed


@pytest.mark.usefixtures("broken")
def test_the_page_in_mlflow_is_the_one_on_disk_and_hides_what_is_protected(run, world, client, tmp_path):
    validate(run)
    [kept], [file] = runs_in(client), files(world)
    page = Path(client.download_artifacts(kept.info.run_id, "quarantine.html", str(tmp_path))).read_text()

    assert page == file.read_text()
    assert re.findall(r'scope="row">(\d+)<', page) == ["3", "12"]
    assert "●●●" in page
    assert GROUP not in page
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["mlflow.runName"].startswith("Quarantine ")


@pytest.mark.usefixtures("broken")
def test_the_page_on_disk_is_named_by_snapshot_and_contract_and_nobody_else_reads_it(run, ledger, world, client):
    validate(run)
    [recorded], [file] = validations(ledger), files(world)

    assert file.name == f"{recorded['snapshot'][:16]}-{recorded['contract'][:16]}.html"
    assert recorded["file"] == str(file)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("broken")
def test_another_contract_on_the_same_data_leaves_the_page_of_the_first(run, ledger, world, client):
    validate(run)
    [first] = files(world)
    before = first.read_text()
    demand(world, min_value=21)
    validate(run)

    assert len({entry["page"] for entry in validations(ledger)}) == 2
    assert len(files(world)) == len(runs_in(client)) == 2
    assert first.read_text() == before


@pytest.mark.usefixtures("broken")
def test_the_same_again_writes_nothing_twice(run, ledger, world, client):
    first, again = validate(run), validate(run)

    assert (again.failed, again.messages) == (first.failed, first.messages)
    assert len(validations(ledger)) == len(files(world)) == len(runs_in(client)) == 1


@pytest.mark.usefixtures("broken")
def test_another_run_on_the_same_data_names_the_same_page(run, asked_again, ledger, world, client):
    validate(run)
    written = files(world)[0].stat().st_mtime_ns
    validate(asked_again("run-2"))

    assert len(validations(ledger)) == 2
    assert len({entry["page"] for entry in validations(ledger)}) == 1
    assert [file.stat().st_mtime_ns for file in files(world)] == [written]
    assert len(runs_in(client)) == 1


@pytest.mark.usefixtures("broken")
def test_a_page_that_was_not_kept_whole_is_completed(run, world, client):
    frozen = snapshot_of(run)
    key = f"quarantine:{frozen.digest}:{tracking.canonical.digest_of_bytes(world.spec.contract.read_bytes())}"
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    started = client.create_run(experiment, tags={tracking.KEY_TAG: key})
    done = validate(run)

    assert started.info.run_id in done.failed
    assert [item.path for item in client.list_artifacts(started.info.run_id)] == ["quarantine.html"]


@pytest.mark.usefixtures("broken")
def test_an_mlflow_that_is_away_leaves_nothing_recorded(run_of, ledger, world):
    run = run_of(GOVERNANCE_MLFLOW_URL="http://127.0.0.1:9")
    ingest(run)

    with pytest.raises(UnavailableError, match=r"Expected MLflow at http://127\.0\.0\.1:9 to answer"):
        validate(run)
    assert validations(ledger) == []
    assert files(world) == []


@pytest.mark.usefixtures("broken", "client")
def test_no_later_step_takes_a_snapshot_in_quarantine(run):
    validate(run)

    with pytest.raises(RefusedError, match="is in quarantine"):
        validation_of(run, snapshot_of(run))
    with pytest.raises(RefusedError, match="is in quarantine"):
        train(run)
