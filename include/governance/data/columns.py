"""The few types a column may have, and the digest of a table's content.

Data arrives in many shapes of the same thing: nullable integers, categories, objects, dates with and without a zone.
:func:`normalise` brings them to five logical types, so that what is frozen, checked and trained on means the same
everywhere. :func:`content_digest` names the content in a canonical columnar form, whoever stored it and wherever.

The rules, because a digest depends on them:

* ``int64``, ``float64``, ``bool``, ``string``, ``timestamp`` (UTC, microseconds; a time without a zone counts as UTC).
* There is one kind of missing: NaN, None, NA and NaT are the same. -0.0 is 0.0.
* Whole numbers and yes/no with something missing are ``float64`` (1.0, 0.0, NaN), as pandas itself would have it;
  numbers that a float cannot hold exactly are refused.
* A column with nothing in it is ``float64``, whatever it was meant to be: nothing is left to tell.
* The order of rows is content. The order of columns and the index are not.

Not guaranteed: that two sources which round differently agree; floats are compared bit for bit.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from governance.errors import InputError

DOMAIN = b"governance-content/1\0"
"""Keeps this digest apart from every other use of SHA-256."""

LARGEST_EXACT = 2**53
"""Up to here every whole number is a float64."""

Series = Any  # pandas ships no types; the names of the shapes still help the reader


def normalise(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose columns have logical types, with a plain index.

    Args:
        frame: Any table; column names are text and differ in more than case.

    Returns:
        The same rows and columns in the same order; dtypes are ``int64``, ``float64``, ``bool``, ``object`` (text and
        None) or ``datetime64[us, UTC]``.

    Raises:
        InputError: A column name or a value has no place among the logical types; the message names the column.
    """
    _check_names(list(frame.columns))
    normal = {name: _normal_column(name, frame[name]) for name in frame.columns}
    return pd.DataFrame(normal, index=pd.RangeIndex(len(frame)), columns=list(frame.columns))


def logical_type(values: Series) -> str:
    """Return the logical type of a column that :func:`normalise` returned."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return "timestamp"
    return "string" if values.dtype == object else str(values.dtype)


def content_digest(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of the canonical columnar form, as 64 hexadecimal digits.

    The form: ``governance-content/1`` and a zero byte; the number of rows and of columns; then for each column, by
    name in the order of its UTF-8 bytes: name and type (each with its length in front), a bitmap of what is there
    (least significant bit first), and the values. Numbers and times are little-endian, eight bytes each, zero where
    missing; yes/no is one byte; text is all lengths, then all UTF-8 bytes. Lengths are 64-bit, little-endian.

    Raises:
        InputError: As :func:`normalise`.
    """
    frame = normalise(frame)
    digest = hashlib.sha256(DOMAIN)
    digest.update(struct.pack("<QQ", len(frame), len(frame.columns)))
    for name in sorted(frame.columns, key=str.encode):
        values = frame[name]
        kind = logical_type(values)
        for text in (name.encode(), kind.encode()):
            digest.update(struct.pack("<Q", len(text)) + text)
        digest.update(np.packbits(values.notna().to_numpy(), bitorder="little").tobytes())
        digest.update(_VALUES[kind](values))
    return digest.hexdigest()


def conform(frame: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Return a normalised table whose columns without a value have the types that they are known to have.

    A column that lost its last value with a row says nothing of its type any more.

    Args:
        frame: As :func:`normalise` returns it.
        types: Logical type of each of its columns.
    """
    empty = [name for name in frame.columns if frame[name].isna().all() and logical_type(frame[name]) != types[name]]
    typed = {name: pd.Series([None] * len(frame), dtype=_EMPTY[types[name]]) for name in empty}
    return frame.assign(**typed) if typed else frame


def row_bytes(frame: pd.DataFrame, types: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the canonical form of each row, for commitments to one row at a time.

    The form: a bitmap of what is there (a bit for each column by name in the order of its UTF-8 bytes, least
    significant first, filled up to whole bytes); the values of all columns but text, in that order, as in
    :func:`content_digest`; then each text, in that order, with its length in front. With the names and the types of the
    columns it reads in one way only.

    Args:
        frame: As :func:`normalise` returns it.
        types: Logical type of each column; a column that holds nothing may have had another than it shows.

    Raises:
        InputError: A column is not of the type that it is said to have.
    """
    frame, names = conform(frame, types), sorted(frame.columns, key=str.encode)
    for name in names:
        if len(frame) and logical_type(frame[name]) != types[name]:
            raise InputError(f"Expected {types[name]} in column {name!r}, found {logical_type(frame[name])}.")
    parts = [np.packbits(frame[names].notna().to_numpy(), axis=1, bitorder="little")] if len(frame) else []
    for name in names if len(frame) else ():
        if types[name] != "string":
            parts.append(np.frombuffer(_VALUES[types[name]](frame[name]), "u1").reshape(len(frame), -1))
    fixed = np.hstack(parts).tobytes() if parts else b""
    width = len(fixed) // max(1, len(frame))
    texts = [_sized_texts(frame[name]) for name in names if types[name] == "string"]
    for row in range(len(frame)):
        yield fixed[row * width : (row + 1) * width] + b"".join(text[row] for text in texts)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return a normalised table in Arrow's form, with the types that Delta Lake stores."""
    return pa.table({name: pa.array(frame[name], _ARROW[logical_type(frame[name])]) for name in frame.columns})


def _check_names(names: list[Any]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise InputError(f"Expected every column to have a name, found {name!r}. Name it in the source.")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"Column {name!r} has a name that is not Unicode text: {error}.") from error
        if name.lower() in seen:  # Delta Lake tells columns apart by more than case
            raise InputError(
                f"Expected column names to differ by more than case, found {seen[name.lower()]!r} and {name!r}."
            )
        seen[name.lower()] = name


def _normal_column(name: str, values: Series) -> Series:
    values = values.reset_index(drop=True)
    if values.isna().all():
        return pd.Series(np.full(len(values), np.nan))
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    kind = _kind(values)
    if kind is None:
        found = sorted({type(value).__name__ for value in values.dropna().head(10_000)})
        raise InputError(
            f"Column {name!r} holds {' and '.join(found)}. Expected one of: whole numbers, decimal numbers, "
            f"true/false, text, times. Convert it in the source."
        )
    try:
        return _NORMAL[kind](name, values)
    except (ValueError, TypeError, OverflowError, UnicodeError, pa.ArrowException) as error:
        raise InputError(f"Column {name!r} was read as {kind}, but not all of it is: {error}.") from error


def _kind(values: Series) -> str | None:
    types = pd.api.types
    if types.is_bool_dtype(values.dtype):
        return "bool"
    if types.is_integer_dtype(values.dtype):
        return "int64"
    if types.is_float_dtype(values.dtype):
        return "float64"
    if types.is_datetime64_any_dtype(values.dtype):
        return "timestamp"
    return _INFERRED.get(types.infer_dtype(values, skipna=True))


_INFERRED = {
    "integer": "int64",
    "floating": "float64",
    "mixed-integer-float": "float64",
    "decimal": "float64",
    "boolean": "bool",
    "string": "string",
    "datetime64": "timestamp",
    "datetime": "timestamp",
    "date": "timestamp",
}


def _normal_integers(name: str, values: Series) -> Series:
    missing = values.isna().to_numpy()
    present = values[~missing]
    low, high = (int(present.min()), int(present.max())) if len(present) else (0, 0)
    bound = LARGEST_EXACT if missing.any() else 2**63 - 1
    if high > bound or low < -bound:
        raise ValueError(f"{high if high > bound else low} is too large to be kept exactly")
    whole = present.to_numpy(dtype="int64")
    if not missing.any():
        return pd.Series(whole)
    numbers = np.full(len(values), np.nan)
    numbers[~missing] = whole
    return pd.Series(numbers)


def _normal_floats(name: str, values: Series) -> Series:
    if values.dtype == object and any(isinstance(value, int) and abs(value) > LARGEST_EXACT for value in values):
        raise ValueError("a whole number is too large to be kept exactly")
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return pd.Series(np.where(np.isnan(numbers), np.nan, numbers + 0.0))  # -0.0 + 0.0 is 0.0


def _normal_booleans(name: str, values: Series) -> Series:
    if values.isna().any():
        return pd.Series(values.to_numpy(dtype="float64", na_value=np.nan))
    return pd.Series(values.to_numpy(dtype="bool"))


def _normal_text(name: str, values: Series) -> Series:
    return pd.Series(pa.array(values, pa.large_string(), from_pandas=True).to_numpy(zero_copy_only=False), dtype=object)


def _normal_times(name: str, values: Series) -> Series:
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = pd.to_datetime(values, utc=True)
    zoned = values.dt.tz_convert("UTC") if values.dt.tz is not None else values.dt.tz_localize("UTC")
    if (zoned.dt.nanosecond.dropna() != 0).any():
        raise ValueError("a time is finer than a microsecond")
    return zoned.dt.as_unit("us")


_NORMAL: dict[str, Callable[[str, Series], Series]] = {
    "int64": _normal_integers,
    "float64": _normal_floats,
    "bool": _normal_booleans,
    "string": _normal_text,
    "timestamp": _normal_times,
}


def _fixed_bytes(values: Series, dtype: str) -> bytes:
    return bytes(values.fillna(0).to_numpy(dtype=dtype).tobytes())


def _time_bytes(values: Series) -> bytes:
    microseconds = values.dt.tz_localize(None).to_numpy().view("int64")
    return np.where(values.isna(), 0, microseconds).astype("<i8").tobytes()


def _text_bytes(values: Series) -> bytes:
    texts = ["" if missing else value for value, missing in zip(values, values.isna(), strict=True)]
    encoded = [text.encode() for text in texts]
    return np.array([len(text) for text in encoded], dtype="<u8").tobytes() + b"".join(encoded)


def _sized_texts(values: Series) -> list[bytes]:
    encoded = [b"" if missing else value.encode() for value, missing in zip(values, values.isna(), strict=True)]
    return [struct.pack("<Q", len(text)) + text for text in encoded]


_EMPTY = {
    "int64": "int64",
    "float64": "float64",
    "bool": "bool",
    "string": "object",
    "timestamp": "datetime64[us, UTC]",
}
"""What a column of this type is when nothing is in it; whole numbers and yes/no only where there are no rows."""

_VALUES: dict[str, Callable[[Series], bytes]] = {
    "int64": lambda values: _fixed_bytes(values, "<i8"),
    "float64": lambda values: _fixed_bytes(values, "<f8"),
    "bool": lambda values: _fixed_bytes(values, "u1"),
    "string": _text_bytes,
    "timestamp": _time_bytes,
}

_ARROW = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
