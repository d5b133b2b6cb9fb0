"""What was saved comes back on another machine: the ledger verifies, and the permit verifies from the bytes."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from governance.data import snapshots
from governance.errors import RefusedError
from governance.ledger.log import Entry
from governance.ledger.verify import Anchor, verify
from governance.serving.app import create_app
from stack import backup
from stack.errors import StackError
from tests.integration.serving.services_under_test import InThread, wait_until
from tests.unit.release.permitted_world import MODEL

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def released(site) -> Entry:
    """The evidence of the model that serves on the site."""
    house = site.house
    scoring = InThread(create_app(house.serving_settings()))
    scoring.start()
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=scoring.url)
    evidence = house.candidate("run-1")
    house.sign(evidence)
    assert not house.release("run-1").reverted
    scoring.stop()
    return evidence


@pytest.fixture(scope="module")
def saved(site, released, tmp_path_factory) -> Path:
    """A backup that was taken while another run went on: it wrote to everything once the ledger was saved."""
    folder, house, save = tmp_path_factory.mktemp("backup"), site.house, backup.Folder.save
    written: list[Entry] = []

    def meanwhile(self: backup.Folder, into: Path) -> None:
        if not written:
            written.append(house.candidate("run-2", seed=1, version="1.1.0"))
        save(self, into)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backup.Folder, "save", meanwhile)
        backup.save(site.places, folder)
    assert written
    return folder


@pytest.fixture(scope="module")
def restored(site, saved) -> dict[str, Any]:
    """The site on another machine, after the first was lost with all that was on it; the manifest."""
    site.lose()
    site.start(schemas=False)
    manifest = backup.restore(site.places, saved)
    site.begin()
    return manifest


def changed(saved: Path, tmp_path: Path) -> Path:
    """A copy of the backup, to be changed."""
    return Path(shutil.copytree(saved, tmp_path / "changed"))


def test_the_record_is_whole_and_ends_where_the_backup_says(site, restored):
    head = Anchor(restored["ledger"]["seq"], restored["ledger"]["chain"])
    report = verify(site.ledger("auditor"), head)
    assert report.whole
    assert report.origin == restored["ledger"]["origin"]


def test_a_scoring_service_verifies_every_byte_of_what_was_signed_and_serves_it(site, released, restored):
    scoring = InThread(create_app(site.house.serving_settings()))
    scoring.start()
    try:
        url = f"{scoring.url}/models/{MODEL}"
        state = wait_until(lambda: (s := httpx.get(url).json())["state"] != "none" and s, 120, "the champion")
    finally:
        scoring.stop()
    assert (state["state"], state["evidence"]) == ("serving", released.data["digest"]), state


def test_the_snapshot_that_it_was_trained_on_is_there(site, restored):
    snapshots.verify(site.world.snapshot)


def test_what_was_written_after_the_ledger_was_saved_is_not_in_it(site, released, restored):
    digests = [entry.data["digest"] for entry in site.ledger("auditor").find(kind="evidence")]
    assert digests[0] == released.data["digest"]
    assert "run-2" not in [entry.data["run_id"] for entry in site.ledger("auditor").find(kind="evidence")]


def test_people_go_on_where_they_were_and_rights_are_as_before(site, restored):
    house, before = site.house, len(site.ledger("auditor").find(kind="permit"))
    house.sign(house.candidate("run-3", seed=2, version="1.2.0"))

    assert len(site.ledger("auditor").find(kind="permit")) == before + 1
    with pytest.raises(RefusedError):
        site.ledger("auditor").append("permit", MODEL, {}, actor="x", key="permit:x")


def test_a_changed_file_is_found_before_anything_is_restored(saved, empty, tmp_path):
    folder = changed(saved, tmp_path)
    file = next(path for path in (folder / "artifacts").rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b"x")

    with pytest.raises(StackError, match="found it changed"):
        backup.restore(empty, folder)
    assert empty.snapshots.is_empty()


def test_another_ledger_than_the_one_that_was_saved_is_noticed(saved, empty, tmp_path):
    folder = changed(saved, tmp_path)
    manifest = json.loads((folder / backup.MANIFEST).read_text())
    manifest["ledger"]["chain"] = "0" * 64
    (folder / backup.MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(StackError, match="Expected the ledger as it was saved"):
        backup.restore(empty, folder)


def test_a_backup_without_its_manifest_is_none(site, saved, tmp_path):
    folder = changed(saved, tmp_path)
    (folder / backup.MANIFEST).unlink()
    with pytest.raises(StackError, match="it is no backup"):
        backup.restore(site.places, folder)


def test_nothing_is_restored_over_something(site, saved, restored):
    with pytest.raises(StackError, match=r"found something in governance, mlflow, artifacts, snapshots"):
        backup.restore(site.places, saved)
    assert verify(site.ledger("auditor")).whole


def test_nothing_is_saved_over_something(site, saved):
    with pytest.raises(StackError, match="Expected an empty folder"):
        backup.save(site.places, saved)


def test_a_ledger_that_is_not_whole_is_not_saved(site, restored, tmp_path):
    change = "UPDATE ledger.entry SET actor = {} WHERE seq = 1"
    with site.connect() as connection:
        connection.execute("ALTER TABLE ledger.entry DISABLE TRIGGER ALL")
        [actor] = connection.execute("SELECT actor FROM ledger.entry WHERE seq = 1").fetchone()
        connection.execute(change.format("'nobody'"))
        try:
            with pytest.raises(StackError, match="Expected a whole ledger"):
                backup.save(site.places, tmp_path / "backup")
        finally:
            connection.execute(change.format(f"'{actor}'"))
            connection.execute("ALTER TABLE ledger.entry ENABLE ALWAYS TRIGGER append_only")
    assert not (tmp_path / "backup" / backup.MANIFEST).exists()


def test_a_password_stands_in_no_list_of_processes(site):
    address, password = backup._without_password(site.layout.database_url("postgres", "governance"))
    assert password == site.layout.secret("postgres-postgres")
    assert password not in address
