"""An S3 on this machine, and tables in the forms that systems keep them in."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pyarrow as pa

SECRET = "canary-7654321"
"""The secret key of every test; in no message."""

ROWS = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, 1.5, 2.5]})
"""What every source holds."""


def arrow(rows: pd.DataFrame = ROWS) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False)


class S3:
    """A moto server with one bucket, ``lake``."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer
        from werkzeug.serving import WSGIRequestHandler

        WSGIRequestHandler.log = lambda *_: None  # type: ignore[method-assign]
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.filesystem = self._filesystem()
        self.filesystem.create_dir("lake")

    def _filesystem(self) -> Any:
        from pyarrow.fs import S3FileSystem

        return S3FileSystem(
            access_key="tester",
            secret_key=SECRET,
            endpoint_override=self.url,
            region="us-east-1",
            allow_bucket_creation=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given that may use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def put(self, key: str, body: bytes) -> str:
        with self.filesystem.open_output_stream(f"lake/{key}") as stream:
            stream.write(body)
        return f"s3://lake/{key}"

    def close(self) -> None:
        with suppress(Exception):
            self._server.stop()


@contextmanager
def only(environment: Mapping[str, str]) -> Iterator[None]:
    """Run with these settings of S3, databases and catalogs, and no other."""
    ours = ("AWS_", "GOVERNANCE_SQL_", "PYICEBERG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with patch.dict(os.environ, {**kept, **environment}, clear=True):
        yield


def write_delta(uri: str, *parts: pd.DataFrame, options: Mapping[str, str] | None = None) -> str:
    """Write each part as a version of its own."""
    from deltalake import write_deltalake

    for part in parts or (ROWS,):
        write_deltalake(uri, arrow(part), mode="append", storage_options=dict(options or {}))
    return uri


def write_iceberg(database: Path, warehouse: str, *parts: pd.DataFrame, **properties: str) -> Any:
    """Write ``credit.applications`` into a catalog in an SQLite file; return the table."""
    from pyiceberg.catalog import load_catalog

    catalog = load_catalog("lake", uri=f"sqlite:///{database}", warehouse=warehouse, **properties)
    catalog.create_namespace_if_not_exists("credit")
    table = catalog.create_table("credit.applications", schema=arrow().schema)
    for part in parts or (ROWS,):
        table.append(arrow(part))
    return catalog.load_table("credit.applications")
