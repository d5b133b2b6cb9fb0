"""Old windows go, with what shows their rows; the ledger keeps every digest, and says when and by which rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from governance.data.snapshots import Snapshot
from governance.errors import InputError, UnavailableError
from governance.ledger import verify
from governance.monitoring import collect, gone
from governance.monitoring.keep import let_go_windows
from governance.monitoring.watch import WINDOW
from governance.training import tracking
from tests.integration.monitoring.conftest import usual
from tests.integration.serving.services_under_test import free_port, mlflow_client
from tests.unit.release.permitted_world import MODEL

LATER = datetime.now(UTC) + timedelta(days=800)
"""When everything that is watched here is older than any floor."""


def files(window):
    """The Parquet files of a window's parts, as they are named, with whether they are there."""
    found = {}
    for document in (window.data["snapshot"], window.data["arrived"]):
        for part in Snapshot.from_dict(document).parts.values() if document else ():
            found |= {f"{part.uri}/{file.path}": Path(part.uri, file.path).exists() for file in part.files}
    return found


def rows(window):
    return {name: there for name, there in files(window).items() if name.endswith(".parquet")}


def settings(watched, **more):
    known = {"GOVERNANCE_LEDGER_URL": watched.house.database.dsn("pipeline"), **more}
    return watched.house.world.with_services(**known).settings


@pytest.fixture
def old(watched, champion):
    """A window with a fault, so that it has a page; protected values and labels with it."""
    frame = usual()
    frame.loc[5, "age"] = 17
    watched.tell(watched.ask(frame, champion), frame["approve"])
    watch = watched.watch()
    watched.decided(watch)
    return watch


def test_the_rows_go_of_every_part_and_the_log_of_the_tables_stays(watched, old):
    window = old.need(WINDOW)
    assert len(rows(window)) == 3
    assert all(rows(window).values())

    went = let_go_windows(settings(watched), LATER)

    assert went == (1, 3, 1)
    assert not any(rows(window).values())
    assert all(there for name, there in files(window).items() if name not in rows(window))


def test_the_record_says_by_which_rule_and_verifies_as_before(watched, old):
    let_go_windows(settings(watched), LATER)

    ledger = watched.house.ledger("auditor")
    (entry,) = ledger.find(gone.LET_GO, MODEL)
    assert entry.data["days"] == old.run.policy.predictions.days
    assert (entry.data["policy"], entry.data["windows"]) == (old.policy, 1)
    assert verify.verify(ledger, None).whole


def test_who_opens_it_is_told_when_and_by_which_rule_it_went(watched, old):
    let_go_windows(settings(watched), LATER)

    with pytest.raises(
        InputError, match=rf"were let go on .*: policy {old.policy[:12]} of {MODEL} keeps them 762 days"
    ):
        collect.window_of(old.ledger, old.need(WINDOW))


def test_its_page_in_mlflow_goes_and_its_run_says_so(watched, old):
    run, _, path = old.need(WINDOW).data["page"].rpartition("/runs/")[2].partition("/artifacts/")
    client = mlflow_client(watched.house.registry.url)
    assert [item.path for item in client.list_artifacts(run)] == [path]

    let_go_windows(settings(watched), LATER)

    assert client.list_artifacts(run) == []
    assert "let go" in client.get_run(run).data.tags["mlflow.note.content"]


def test_what_has_to_be_kept_stays_and_can_be_opened(watched, old, champion):
    let_go_windows(settings(watched), LATER)
    watched.decided(watched.watch_of(usual(seed=4), champion))
    newer = watched.house.ledger().find(WINDOW, MODEL)[-1]

    went = let_go_windows(settings(watched), newer.at + timedelta(days=old.run.policy.predictions.days))

    assert went == (0, 0, 0)
    assert len(collect.window_of(old.ledger, newer)) == newer.data["rows"]


def test_again_nothing_goes_twice_and_what_was_left_by_a_crash_goes(watched, old, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tracking, "let_go_page", lambda *_: (_ for _ in ()).throw(UnavailableError("It is away.")))
        with pytest.raises(UnavailableError):
            let_go_windows(settings(watched), LATER)

    went = let_go_windows(settings(watched), LATER)
    again = let_go_windows(settings(watched), LATER)

    assert went == (0, 0, 1)
    assert again == (0, 0, 0)
    assert len(watched.house.ledger("auditor").find(gone.LET_GO, MODEL)) == 1


def test_a_file_that_a_later_window_has_too_stays(watched, old):
    """The same rows, looked at once more with a later cut-off, are one file."""
    later = watched.again((old.since, old.until, old.as_of + timedelta(seconds=1)))
    collect.collect(later)
    first, second = old.need(WINDOW), later.need(WINDOW)
    assert first.key != second.key
    shared = set(rows(first)) & set(rows(second))
    assert shared

    let_go_windows(settings(watched), first.at + timedelta(days=old.run.policy.predictions.days, microseconds=1))

    assert all(there for name, there in rows(second).items())
    assert len(collect.window_of(later.ledger, second)) == second.data["rows"]


def test_with_mlflow_away_the_task_fails_and_is_tried_again(watched, old):
    with pytest.raises(UnavailableError):
        let_go_windows(settings(watched, GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}"), LATER)

    assert let_go_windows(settings(watched), LATER) == (0, 0, 1)
