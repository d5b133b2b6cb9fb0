"""What was saved comes back on another machine: the ledger verifies, and the permit verifies from the bytes."""

import json
from pathlib import Path

import httpx
import pytest

from governance.data import snapshots
from governance.errors import RefusedError
from governance.ledger.verify import Anchor, verify
from governance.serving.app import create_app
from stack import backup
from stack.errors import StackError
from tests.integration.serving.services_under_test import InThread, wait_until
from tests.unit.release.permitted_world import MODEL

pytestmark = pytest.mark.integration


@pytest.fixture
def released(site):
    """The site with a released model."""
    house = site.house
    scoring = InThread(create_app(house.serving_settings()))
    scoring.start()
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=scoring.url)
    evidence = house.candidate("run-1")
    house.sign(evidence)
    assert not house.release("run-1").reverted
    scoring.stop()
    return evidence


@pytest.fixture
def saved(site, released, tmp_path) -> Path:
    backup.save(site.places, tmp_path / "backup")
    return tmp_path / "backup"


def serves_again(house) -> dict:
    """What a scoring service says that starts on what came back: it verifies every byte before it loads."""
    scoring = InThread(create_app(house.serving_settings()))
    scoring.start()
    try:

        def state() -> dict:
            found = httpx.get(f"{scoring.url}/models/{MODEL}").json()
            return found if found["state"] != "none" else {}

        return wait_until(state, 60, "the champion")
    finally:
        scoring.stop()


def test_another_machine_serves_what_was_signed_and_the_record_is_whole(site, released, saved):
    site.lose()
    site.start(schemas=False)

    manifest = backup.restore(site.places, saved)

    site.begin()
    head = Anchor(manifest["ledger"]["seq"], manifest["ledger"]["chain"])
    assert verify(site.ledger("auditor"), head).whole
    state = serves_again(site.house)
    assert (state["state"], state["evidence"]) == ("serving", released.data["digest"]), state
    snapshots.verify(site.world.snapshot)


def test_on_what_came_back_people_go_on_where_they_were(site, released, saved):
    site.lose()
    site.start(schemas=False)
    backup.restore(site.places, saved)
    site.begin()

    house = site.house
    second = house.candidate("run-2", seed=1, version="1.1.0")
    house.sign(second)

    entries = site.ledger("auditor").find(kind="permit")
    assert len(entries) == 2
    assert verify(site.ledger("auditor")).whole
    with pytest.raises(RefusedError):
        site.ledger("auditor").append("permit", MODEL, {}, actor="x", key="permit:x")


def test_what_is_written_while_it_is_saved_leaves_a_whole_backup(site, released, tmp_path, monkeypatch):
    """The ledger first: everything that it names is there when its turn comes, and more does no harm."""
    house, save = site.house, backup.Folder.save
    after = []

    def meanwhile(self: backup.Folder, folder: Path) -> None:
        if not after:
            after.append(house.candidate("run-2", seed=1, version="1.1.0"))
        save(self, folder)

    monkeypatch.setattr(backup.Folder, "save", meanwhile)
    backup.save(site.places, tmp_path / "backup")
    site.lose()
    site.start(schemas=False)
    backup.restore(site.places, tmp_path / "backup")
    site.begin()

    assert serves_again(site.house)["evidence"] == released.data["digest"]
    assert site.ledger("auditor").find(kind="evidence")[-1].data["digest"] == released.data["digest"]


def test_a_changed_file_is_found_before_anything_is_restored(site, saved):
    site.lose()
    site.start(schemas=False)
    file = next(path for path in (saved / "artifacts").rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b"x")

    with pytest.raises(StackError, match="found it changed"):
        backup.restore(site.places, saved)
    assert site.places.artifacts.is_empty()


def test_a_backup_without_its_manifest_is_none(site, saved):
    (saved / backup.MANIFEST).unlink()
    with pytest.raises(StackError, match="it is no backup"):
        backup.restore(site.places, saved)


def test_nothing_is_restored_over_something(site, saved):
    with pytest.raises(StackError, match=r"found something in governance, mlflow, artifacts, snapshots"):
        backup.restore(site.places, saved)
    assert verify(site.ledger("auditor")).whole


def test_another_ledger_than_the_one_that_was_saved_is_noticed(site, saved):
    manifest = json.loads((saved / backup.MANIFEST).read_text())
    manifest["ledger"]["chain"] = "0" * 64
    (saved / backup.MANIFEST).write_text(json.dumps(manifest))
    site.lose()
    site.start(schemas=False)

    with pytest.raises(StackError, match="Expected the ledger as it was saved"):
        backup.restore(site.places, saved)


def test_a_ledger_that_is_not_whole_is_not_saved(site, released, tmp_path):
    with site.connect() as connection:
        connection.execute("ALTER TABLE ledger.entry DISABLE TRIGGER ALL")
        connection.execute("UPDATE ledger.entry SET actor = 'nobody' WHERE seq = 1")
    with pytest.raises(StackError, match="Expected a whole ledger"):
        backup.save(site.places, tmp_path / "backup")
    assert not (tmp_path / "backup" / backup.MANIFEST).exists()


def test_a_password_stands_in_no_list_of_processes(site):
    address, password = backup._without_password(site.layout.database_url("postgres", "governance"))
    assert password == site.layout.secret("postgres-postgres")
    assert password not in address
