"""A file to read, on this machine or in a bucket, as bytes.

``s3://bucket/key`` is read with the settings of :func:`governance.settings.load_bucket`, whatever stands in the file.
Errors of the network tell what failed and never quote what an S3 library says: it may quote addresses that are signed.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from governance.data.sources import lines
from governance.errors import InputError, UnavailableError
from governance.settings import Bucket, load_bucket

SECONDS = 10
"""How long one answer of an S3 may take before it counts as away."""


class PlainFaultError(InputError):
    """A fault that may be told of a file which nobody reviewed: sizes and positions, nothing that stands in it."""


@dataclass(frozen=True)
class File:
    """A file that is there and not empty.

    Attributes:
        where: How people call it.
        size: Its bytes.
        open: Opens it for reading, at its beginning, with random access.
        path: Where it is on this machine; ``None`` for bytes from elsewhere.
    """

    where: str
    size: int
    open: Callable[[], BinaryIO]
    path: Path | None = None


def find(name: str, folder: Path) -> File:
    """Return a file by its path, relative to a folder, or by its address in a bucket.

    Raises:
        InputError: It is not there, or empty.
        UnavailableError: The S3 does not answer, or denies.
    """
    found = _in_bucket(name) if name.startswith(lines.S3) else _on_disk(folder / name)
    if found.size == 0:
        raise PlainFaultError(f"{found.where} is empty. Expected a table.")
    return found


def in_memory(where: str, body: bytes) -> File:
    """Return bytes that were read already (and verified) as a file."""
    return File(where, len(body), lambda: io.BytesIO(body))


def storage_options(bucket: Bucket | None = None) -> dict[str, str]:
    """Return the settings of S3 as deltalake takes them; a dead server is found in seconds."""
    bucket = bucket or load_bucket()
    found = {
        "AWS_ENDPOINT_URL": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": bucket.key,
        "AWS_SECRET_ACCESS_KEY": bucket.secret,
        "AWS_SESSION_TOKEN": bucket.token,
        "AWS_REGION": bucket.region or ("us-east-1" if bucket.endpoint else None),
        "AWS_ALLOW_HTTP": "true" if bucket.plain_http else None,
        "connect_timeout": f"{SECONDS}s",
        "max_retries": "2",
    }
    return {name: value for name, value in found.items() if value}


def iceberg_properties(bucket: Bucket | None = None) -> dict[str, str]:
    """Return the settings of S3 as pyiceberg takes them."""
    bucket = bucket or load_bucket()
    found = {
        "s3.endpoint": bucket.endpoint,
        "s3.access-key-id": bucket.key,
        "s3.secret-access-key": bucket.secret,
        "s3.session-token": bucket.token,
        "s3.region": bucket.region or ("us-east-1" if bucket.endpoint else None),
        "s3.connect-timeout": str(SECONDS),
    }
    return {name: value for name, value in found.items() if value}


@contextmanager
def answering(where: str) -> Iterator[None]:
    """Turn what the disk or an S3 library raises while it reads into one sentence without anything of the library's."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"Expected a file at {where}, found none. Correct the source.") from None
    except OSError as error:
        if where.startswith(lines.S3):
            raise away(where, str(error)) from None
        raise InputError(f"Expected to read {where}, found {error.strerror or type(error).__name__}.") from None


def away(where: str, said: str) -> UnavailableError | InputError:
    """Return why an S3 cannot be read, by a few words of what its library said."""
    if _DENIED.search(said):
        remedy = "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have the bucket's owner allow reading."
        return InputError(f"Expected to be allowed to read {where}, found that it is denied. {remedy}")
    if _ABSENT.search(said):
        return InputError(f"Expected a bucket and a key at {where}, found none. Correct the source.")
    return UnavailableError(
        f"Expected an answer about {where}, found none: the S3 cannot be reached. Start it, or correct "
        f"AWS_ENDPOINT_URL and AWS_REGION, and try again."
    )


# A status stands alone: a port such as 54035 is none.
_DENIED = re.compile(r"access_?denied|\b40[13]\b|forbidden|signature|invalid_?access_?key", re.IGNORECASE)
_ABSENT = re.compile(r"\b404\b|no_?such_?bucket", re.IGNORECASE)


def _on_disk(path: Path) -> File:
    if not path.is_file():
        raise InputError(f"Expected a file at {path}, found none. Paths are relative to the model's folder.")
    return File(str(path), path.stat().st_size, lambda: path.open("rb"), path)


def _in_bucket(address: str) -> File:
    from pyarrow.fs import FileType

    bucket, key = lines.bucket_and_key(address)
    filesystem = _filesystem(load_bucket())
    with answering(address):
        info = filesystem.get_file_info(f"{bucket}/{key}")
    if info.type != FileType.File:
        raise InputError(f"Expected a file at {address}, found none. Correct the source.")

    def opened() -> BinaryIO:
        with answering(address):
            return cast("BinaryIO", filesystem.open_input_file(f"{bucket}/{key}"))

    return File(address, info.size, opened)


def _filesystem(bucket: Bucket) -> Any:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    options = {
        "endpoint_override": bucket.endpoint,
        "access_key": bucket.key,
        "secret_key": bucket.secret,
        "session_token": bucket.token,
        "region": bucket.region or ("us-east-1" if bucket.endpoint else None),
    }
    return S3FileSystem(
        **{name: value for name, value in options.items() if value},
        connect_timeout=SECONDS,
        request_timeout=3 * SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=3),
    )
