"""Reading Delta, Iceberg, DVC and SQL, on this machine and in a bucket; every fault one sentence without a secret."""

import hashlib
import socket
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from lakes import ROWS, S3, SECRET, only, write_delta, write_iceberg

from governance.data.columns import content_digest
from governance.data.sources import read_source
from governance.data.sources.files import PlainFaultError
from governance.errors import GovernanceError, InputError, TamperedError, UnavailableError


@pytest.fixture(scope="module")
def s3():
    server = S3()
    yield server
    server.close()


@pytest.fixture
def in_bucket(s3):
    with only(s3.environment):
        yield s3


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def same(frame: pd.DataFrame, rows: pd.DataFrame = ROWS) -> bool:
    return content_digest(frame) == content_digest(rows)


def told(source: str, folder: Path, kind: type[GovernanceError] = InputError) -> str:
    """Return why a source cannot be read: one line, of this kind of error exactly, with no secret in or behind it."""
    with pytest.raises(GovernanceError) as caught:
        read_source(source, folder)
    error: BaseException | None = caught.value
    said = str(error)
    assert type(error) in (kind, PlainFaultError), said
    assert "\n" not in said
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


# --- Delta ---------------------------------------------------------------------------------------------------------


def test_a_delta_table_is_read_as_it_is_now_or_as_it_was(tmp_path):
    write_delta(str(tmp_path / "t"), ROWS.iloc[:2], ROWS.iloc[2:])

    assert same(read_source("delta:t", tmp_path).sort_values("a"))
    assert same(read_source("delta:t@0", tmp_path), ROWS.iloc[:2])
    assert same(read_source(f"delta:{tmp_path}/t@1", Path("/")).sort_values("a"))


def test_a_delta_table_comes_file_by_file_in_the_order_of_their_names(tmp_path):
    write_delta(str(tmp_path / "t"), *(ROWS.assign(a=number).head(1) for number in range(6)))
    by_name = [pd.read_parquet(file)["a"].item() for file in sorted((tmp_path / "t").glob("*.parquet"))]

    assert read_source("delta:t", tmp_path)["a"].tolist() == by_name

    from deltalake import DeltaTable

    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    write_delta(str(tmp_path / "t"), ROWS)

    assert read_source("delta:t@5", tmp_path)["a"].tolist() == by_name


def test_a_delta_table_that_is_not_there_says_so(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty" / "_delta_log").mkdir(parents=True)
    write_delta(str(tmp_path / "t"))

    assert "Expected a Delta table at" in told("delta:none", tmp_path)
    assert "_delta_log" in told("delta:folder", tmp_path)
    assert "found none" in told("delta:empty", tmp_path)
    assert told("delta:t@7", tmp_path).startswith(f"Expected version 7 of {tmp_path}/t, found none: the newest is 0.")


def test_a_delta_table_without_a_file_of_its_own_says_so(tmp_path):
    write_delta(str(tmp_path / "t"))
    next((tmp_path / "t").glob("*.parquet")).unlink()

    assert "cannot be read as a Delta table" in told("delta:t", tmp_path)


# --- Iceberg -------------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path):
    """A catalog on disk, as pyiceberg itself is told of it, and its table."""
    table = write_iceberg(tmp_path / "catalog.db", f"file://{tmp_path}/warehouse", ROWS.iloc[:2], ROWS.iloc[2:])
    settings = {
        "PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{tmp_path}/catalog.db",
        "PYICEBERG_CATALOG__LAKE__WAREHOUSE": f"file://{tmp_path}/warehouse",
    }
    with only(settings):
        yield table


def test_an_iceberg_table_is_read_as_it_is_now_or_as_it_was(tmp_path, catalog):
    first = catalog.snapshots()[0].snapshot_id
    metadata = catalog.metadata_location.removeprefix("file://")

    assert same(read_source("iceberg:lake.credit.applications", tmp_path).sort_values("a"))
    assert same(read_source(f"iceberg:lake.credit.applications@{first}", tmp_path), ROWS.iloc[:2])
    assert same(read_source(f"iceberg:{metadata}", tmp_path).sort_values("a"))


def test_an_iceberg_table_that_is_not_there_says_so(tmp_path, catalog):
    assert "found none in this catalog" in told("iceberg:lake.credit.none", tmp_path)
    assert "found none in this catalog" in told("iceberg:lake.nowhere.none", tmp_path)
    assert "Set PYICEBERG_CATALOG__OTHER__URI" in told("iceberg:other.credit.applications", tmp_path)
    assert "iceberg:<catalog>.<namespace>.<table>" in told("iceberg:applications", tmp_path)
    assert "Expected a file at" in told("iceberg:v1.metadata.json", tmp_path)
    assert "Expected snapshot 5 of iceberg:lake.credit.applications, found none" in told(
        "iceberg:lake.credit.applications@5", tmp_path
    )


def test_metadata_that_are_none_say_so(tmp_path):
    (tmp_path / "v1.metadata.json").write_text("{}")

    assert "cannot be read" in told("iceberg:v1.metadata.json", tmp_path)


@pytest.mark.parametrize("scheme", ["http://", "postgresql+psycopg2://reader:canary-7654321@"])
def test_an_iceberg_catalog_that_is_away_says_so(tmp_path, nobody, scheme):
    with only({"PYICEBERG_CATALOG__LAKE__URI": f"{scheme}{nobody}/x"}):
        assert "its catalog cannot be reached" in told("iceberg:lake.a.b", tmp_path, UnavailableError)


def test_an_iceberg_table_whose_files_are_gone_says_so(tmp_path, catalog):
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()

    assert "a file of the table is not there" in told("iceberg:lake.credit.applications", tmp_path)


# --- DVC -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tracked(tmp_path):
    """A repository with ``rows.csv`` and its pointer."""
    body = ROWS.to_csv(index=False).encode()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "rows.csv").write_bytes(body)
    digest = hashlib.md5(body).hexdigest()
    pointer = f"outs:\n- md5: {digest}\n  size: {len(body)}\n  hash: md5\n  path: rows.csv\n"
    (tmp_path / "rows.csv.dvc").write_text(pointer)
    return tmp_path


@pytest.mark.parametrize("source", ["dvc:rows.csv.dvc", "rows.csv.dvc"])
def test_a_tracked_file_is_read_where_its_pointer_says(tracked, source):
    assert same(read_source(source, tracked))


@pytest.mark.parametrize("cache", [".dvc/cache/files/md5", ".dvc/cache"])
def test_a_tracked_file_is_found_in_the_cache(tracked, cache):
    digest = hashlib.md5((tracked / "rows.csv").read_bytes()).hexdigest()
    place = tracked / cache / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True)
    (tracked / "rows.csv").rename(place)
    (tracked / "models" / "one").mkdir(parents=True)
    (tracked / "rows.csv.dvc").rename(tracked / "models" / "one" / "rows.csv.dvc")

    assert same(read_source("dvc:rows.csv.dvc", tracked / "models" / "one"))


def test_a_tracked_parquet_file_may_have_a_sha256(tmp_path):
    ROWS.to_parquet(tmp_path / "rows.parquet", index=False)
    digest = hashlib.sha256((tmp_path / "rows.parquet").read_bytes()).hexdigest()
    (tmp_path / "rows.dvc").write_text(f"outs: [{{sha256: {digest}, path: rows.parquet}}]")

    assert same(read_source("dvc:rows.dvc", tmp_path))


def test_a_file_that_is_not_the_one_tracked_is_refused_before_it_is_parsed(tracked):
    with (tracked / "rows.csv").open("a") as file:
        file.write('"no table at all\n')

    said = told("dvc:rows.csv.dvc", tracked, TamperedError)

    assert said.startswith(f"{tracked}/rows.csv is not the file that {tracked}/rows.csv.dvc names: expected md5 ")


def test_one_other_letter_is_another_file(tracked):
    body = (tracked / "rows.csv").read_bytes()
    (tracked / "rows.csv").write_bytes(body.replace(b"x", b"y"))

    assert "found" in told("dvc:rows.csv.dvc", tracked, TamperedError)


def test_a_wrong_size_is_refused_too(tracked):
    pointer = tracked / "rows.csv.dvc"
    pointer.write_text(pointer.read_text().replace("size: ", "size: 1"))

    assert "is not the file" in told("dvc:rows.csv.dvc", tracked, TamperedError)


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ("outs: [{md5: 0123.dir, path: rows}]", "tracks a folder"),
        ("outs: []", "is not a DVC pointer of one file"),
        ("outs: [{md5: a, path: a.csv}, {md5: b, path: b.csv}]", "is not a DVC pointer of one file"),
        ("outs: [{path: rows.csv}]", "is not a DVC pointer of one file"),
        ("deps: []", "is not a DVC pointer of one file"),
        ("- 1", "is not a DVC pointer of one file"),
        ("outs: [", "is not a DVC pointer of one file"),
        ("outs: [{md5: abc, path: rows.xlsx}]", "expected a file ending in .csv or .parquet"),
        ("outs: [{md5: abc, path: other.csv}]", "Run `dvc pull"),
    ],
)
def test_a_pointer_that_cannot_be_followed_says_why(tmp_path, pointer, message):
    (tmp_path / "rows.csv.dvc").write_text(pointer)

    assert message in told("dvc:rows.csv.dvc", tmp_path)
    assert "Expected a DVC pointer" in told("dvc:none.csv.dvc", tmp_path)


# --- SQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def warehouse(tmp_path):
    """An SQLite database with the rows in disorder, and a model's folder with a query."""
    with sqlite3.connect(tmp_path / "warehouse.db") as connection:
        connection.execute("CREATE TABLE applications (a INTEGER PRIMARY KEY DESC, b TEXT, c REAL)")
        rows = ROWS.astype(object).where(ROWS.notna(), None).iloc[[2, 0, 1]]
        connection.executemany("INSERT INTO applications VALUES (?, ?, ?)", rows.to_numpy().tolist())
        connection.execute("CREATE VIEW late AS SELECT * FROM applications WHERE a > 1")
        connection.execute("CREATE TABLE twice (a, A2, b)")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "rows.sql").write_text("SELECT a, b, c FROM applications WHERE b IS NOT '12:30' ORDER BY a;\n")
    with only({"GOVERNANCE_SQL_WAREHOUSE": f"sqlite:///{tmp_path}/warehouse.db"}):
        yield folder


def test_a_table_comes_in_the_order_of_its_key(warehouse):
    assert same(read_source("sql:warehouse/applications", warehouse))


def test_a_view_and_a_query_of_the_models_folder_are_sources(warehouse):
    assert read_source("sql:warehouse/late", warehouse)["a"].sort_values().tolist() == [2, 3]
    assert same(read_source("sql:warehouse/rows.sql", warehouse))


def test_a_name_is_a_name_and_never_sql(warehouse):
    name = "applications; DROP TABLE applications"

    assert "found none in sql:warehouse" in told(f"sql:warehouse/{name}", warehouse)
    assert same(read_source("sql:warehouse/applications", warehouse))


@pytest.mark.parametrize(
    "query", ["DELETE FROM applications RETURNING a", "DROP TABLE applications", "INSERT INTO twice VALUES (1, 2, 3)"]
)
def test_a_query_changes_nothing(warehouse, query):
    (warehouse / "rows.sql").write_text(query)

    assert "readonly database" in told("sql:warehouse/rows.sql", warehouse)
    assert same(read_source("sql:warehouse/applications", warehouse))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT income FROM applications", "no such column: income"),
        ("SELEKT 1", "syntax error"),
        ("SELECT a, a FROM applications", "'a' appears 2 times"),
        ("SELECT * FROM applications WHERE a > 99", "found 0 rows"),
        ("", "is empty"),
        ("SELECT 1; DELETE FROM applications", "holds several statements"),
        ("SELECT ';' AS a, 2 AS b /* ; */ -- ;\n; SELECT 2", "holds several statements"),
        (b"SELECT '\xe9'", "is not UTF-8 (byte 8)"),
    ],
)
def test_a_query_that_gives_no_table_says_why(warehouse, query, message):
    (warehouse / "rows.sql").write_bytes(query if isinstance(query, bytes) else query.encode())

    with pytest.raises(InputError) as caught:
        read_source("sql:warehouse/rows.sql", warehouse)
    assert message in str(caught.value)


def test_a_semicolon_in_a_text_a_name_or_a_comment_ends_no_statement(warehouse):
    (warehouse / "rows.sql").write_text("""SELECT ';' AS "a;" /* ; */ -- it's ;\n FROM applications;\n""")

    assert read_source("sql:warehouse/rows.sql", warehouse)["a;"].tolist() == [";"] * 3


def test_a_query_lies_in_the_models_folder(warehouse, tmp_path):
    (tmp_path / "out.sql").write_text("SELECT 1")
    (warehouse / "link.sql").symlink_to(tmp_path / "out.sql")

    assert "lies outside the model's folder" in told("sql:warehouse/../out.sql", warehouse)
    assert "lies outside the model's folder" in told("sql:warehouse/link.sql", warehouse)
    assert "Expected a query at" in told("sql:warehouse/none.sql", warehouse)


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        (None, InputError, "in GOVERNANCE_SQL_WAREHOUSE, found nothing"),
        (f"no address {SECRET}", InputError, "found something else"),
        (f"oracle://u:{SECRET}@host/x", InputError, "whose driver is installed, found oracle"),
        ("sqlite:////no/such/warehouse.db", InputError, "Expected a file at /no/such/warehouse.db"),
        (f"postgresql+psycopg2://u:{SECRET}@{{nobody}}/x", UnavailableError, "to answer at {nobody}"),
        (f"postgresql+psycopg://u:{SECRET}@{{nobody}}/x", UnavailableError, "to answer at {nobody}"),
    ],
)
def test_a_database_that_cannot_be_reached_says_which_variable(tmp_path, nobody, address, kind, message):
    given = {"GOVERNANCE_SQL_WAREHOUSE": address.format(nobody=nobody)} if address else {}
    with only(given):
        said = told("sql:warehouse/applications", tmp_path, kind)
    assert message.format(nobody=nobody) in said
    assert kind is InputError or "GOVERNANCE_SQL_WAREHOUSE" in said


def test_an_error_in_the_data_quotes_no_value(warehouse):
    """Databases name the value that they could not convert, and a value may be a person's."""
    from governance.data.sources.sql import _failed

    class InvalidError(Exception):
        sqlstate = "22P02"

    class MissingError(Exception):
        sqlstate = "42P01"

    from sqlalchemy import make_url

    url = make_url(f"postgresql://u:{SECRET}@host/x")
    kept = _failed("sql:w/t", InvalidError('invalid input syntax for type integer: "Maria Alvarez"'), url)
    shown = _failed("sql:w/t", MissingError(f'relation "t" does not exist {SECRET}'), url)

    assert "Maria" not in str(kept)
    assert "22P02" in str(kept)
    assert 'relation "t" does not exist' in str(shown)
    assert SECRET not in str(shown)


# --- S3 ------------------------------------------------------------------------------------------------------------


def test_csv_and_parquet_are_read_from_a_bucket(tmp_path, in_bucket):
    in_bucket.put("in/rows.csv", ROWS.to_csv(index=False).encode())
    ROWS.to_parquet(tmp_path / "rows.parquet", index=False)
    in_bucket.put("rows.parquet", (tmp_path / "rows.parquet").read_bytes())

    assert same(read_source("csv:s3://lake/in/rows.csv", tmp_path))
    assert same(read_source("s3://lake/in/rows.csv", tmp_path))
    assert same(read_source("parquet:s3://lake/rows.parquet", tmp_path))


def test_a_delta_table_is_read_from_a_bucket(tmp_path, in_bucket):
    write_delta("s3://lake/delta", ROWS, ROWS, options=in_bucket.environment)

    assert same(read_source("delta:s3://lake/delta@0", tmp_path))
    assert len(read_source("delta:s3://lake/delta", tmp_path)) == 6
    assert "Expected version 2 of s3://lake/delta" in told("delta:s3://lake/delta@2", tmp_path)
    assert "Expected a Delta table at s3://lake/none" in told("delta:s3://lake/none", tmp_path)


def test_an_iceberg_table_is_read_from_a_bucket(tmp_path, s3):
    own = {
        "s3.endpoint": s3.url,
        "s3.access-key-id": "tester",
        "s3.secret-access-key": SECRET,
        "s3.region": "us-east-1",
    }
    table = write_iceberg(tmp_path / "catalog.db", f"s3://lake/{tmp_path.name}", **own)
    with only({**s3.environment, "PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{tmp_path}/catalog.db"}):
        assert same(read_source("iceberg:lake.credit.applications", tmp_path))
        assert same(read_source(f"iceberg:{table.metadata_location}", tmp_path))


@pytest.mark.parametrize("source", ["csv:s3://lake/none.csv", "s3://nowhere/none.parquet", "csv:s3://lake/"])
def test_what_is_not_in_the_bucket_says_so(tmp_path, in_bucket, source):
    assert "Expected" in told(source, tmp_path)


def test_an_empty_file_in_a_bucket_says_so(tmp_path, in_bucket):
    in_bucket.put("empty.csv", b"")
    in_bucket.put("half.parquet", b"PAR1 and then")

    assert "s3://lake/empty.csv is empty" in told("s3://lake/empty.csv", tmp_path)
    assert "is not a Parquet file" in told("s3://lake/half.parquet", tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "csv:s3://lake/rows.csv",
        "parquet:s3://lake/rows.parquet",
        "delta:s3://lake/t",
        "iceberg:s3://lake/v.metadata.json",
    ],
)
def test_an_s3_that_is_away_says_so(tmp_path, s3, nobody, source):
    with only({**s3.environment, "AWS_ENDPOINT_URL": f"http://{nobody}"}):
        assert "the S3 cannot be reached" in told(source, tmp_path, UnavailableError)


def test_an_s3_is_spoken_to_without_encryption_only_where_that_is_said(tmp_path, s3):
    with only({**s3.environment, "AWS_ALLOW_HTTP": "false"}):
        assert "AWS_ALLOW_HTTP=true" in told("s3://lake/rows.csv", tmp_path)
        assert "AWS_ALLOW_HTTP=true" in told("delta:s3://lake/t", tmp_path)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation", InputError, "denied"),
        ("AWS Error UNKNOWN (HTTP status 403)", InputError, "denied"),
        ("error: InvalidAccessKeyId 403 Forbidden", InputError, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", InputError, "AWS_SECRET_ACCESS_KEY"),
        ("Server returned non-2xx status code: 404 NoSuchBucket", InputError, "found none"),
        ("curlCode: 6, Could not resolve host", UnavailableError, "cannot be reached"),
        ("Failed to connect to 127.0.0.1 port 54035 after 0 ms", UnavailableError, "cannot be reached"),
        ("error sending request for url (http://127.0.0.1:40443/lake)", UnavailableError, "cannot be reached"),
    ],
)
def test_what_an_s3_answers_is_told_in_a_few_words_of_ours(said, kind, message):
    from governance.data.sources.files import away

    error = away("s3://lake/rows.csv", said)

    assert type(error) is kind
    assert message in str(error)


def test_a_file_that_vanishes_while_it_is_read_says_so(tmp_path, in_bucket, monkeypatch):
    from governance.data.sources import textfile

    in_bucket.put("gone.csv", b"a\n1\n")
    looked = textfile._look_through
    monkeypatch.setattr(
        textfile, "_look_through", lambda file: (looked(file), in_bucket.filesystem.delete_file("lake/gone.csv"))
    )

    assert "Expected a file at s3://lake/gone.csv, found none" in told("s3://lake/gone.csv", tmp_path)
