"""What a line such as ``delta:s3://lake/applications@7`` says, before anything is read.

Cheap to import: lineage and the command line ask what kind of source a model has, and read nothing.
"""

from pathlib import PurePosixPath

from governance.errors import InputError

KINDS = ("python", "csv", "parquet", "delta", "iceberg", "dvc", "sql")
"""What may stand before the colon."""

BY_ENDING = ("csv", "parquet", "dvc")
"""The kinds that a file's ending tells, where nothing stands before the colon."""

FILES = ("csv", "parquet")
"""The kinds of source that are a file. An unreviewed one must be of these, whatever else there is."""

S3 = "s3://"


def parse(source: str) -> tuple[str, str]:
    """Return the kind of a source and the rest of its line.

    Raises:
        InputError: It is no kind that is known.
    """
    kind, colon, rest = source.partition(":")
    if colon and kind in KINDS:
        return kind, rest.strip()
    ending = PurePosixPath(source).suffix.removeprefix(".")
    if ending in BY_ENDING and (not colon or source.startswith(S3)):
        return ending, source.strip()
    known = ", ".join(f"{name}:…" for name in KINDS)
    raise InputError(
        f"Unknown kind of source in {source!r}. Expected {known}, or a path ending in .csv, .parquet or .dvc."
    )


def at(rest: str) -> tuple[str, int | None]:
    """Return what is named and the version asked for: ``applications@7`` is ``applications``, 7."""
    name, _, version = rest.rpartition("@")
    return (name, int(version)) if name and version.isascii() and version.isdigit() else (rest, None)


def bucket_and_key(address: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key``.

    Raises:
        InputError: One of them is missing.
    """
    bucket, _, key = address.removeprefix(S3).partition("/")
    if not bucket or not key:
        raise InputError(f"Expected s3://<bucket>/<key>, found {address}. Correct the source.")
    return bucket, key


def connection_and_query(rest: str) -> tuple[str, str]:
    """Return the database's name and the table or query file of ``sql:<database>/<table or file.sql>``.

    Raises:
        InputError: It is not of this form.
    """
    name, _, query = rest.partition("/")
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii() or not query.strip():
        raise InputError(
            f"Expected sql:<database>/<table> or sql:<database>/<file>.sql, found sql:{rest}. The database's address "
            f"stands in the environment, as GOVERNANCE_SQL_<DATABASE>."
        )
    return name, query.strip()
