"""A window of what production saw, as it was known at a cut-off: the same today and in a year (DESIGN §10.10).

``as_of`` applies to everything by when it *arrived in the database*: a record that waited on disk, a label, a protected
value. A cut-off is never in the future; writers that had begun before it are waited for, so that nothing with an
earlier time of arrival can appear later.

Which row counts:

* The same request id, row number, caller, version, features and answer again is a client's retry. It counts once, with
  its first time; also where the first lies up to :data:`RETRY` before the window.
* The same request id and row with anything else in it are different predictions, and all of them count.
* A label, or a protected value, belongs to every prediction of its request id and row that is kept so; but where their
  *features* differ, nobody can say whom it is about. It then belongs to none, and counts as unmatched.

Rows travel by COPY and are parsed by Arrow, in pieces: a million rows of 25 features take seconds and no more memory
than the frames that come out.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.errors import InputError
from governance.predictions.database import Database

if TYPE_CHECKING:
    import pandas as pd
    import psycopg
    import pyarrow as pa

    Connection = psycopg.Connection[tuple[Any, ...]]

RETRY = timedelta(hours=1)

PIECE = 32 * 1024 * 1024
"""Bytes that are parsed at once."""

BLOCK = 4 * 1024 * 1024
"""Bytes of JSON for one thread."""

AHEAD = timedelta(seconds=5)
"""So far the reader's clock may be ahead of the database's: that is waited for."""

KEYS = ["request_id", "row"]

_ROWS = """
    SELECT p.segment, p.line, (extract(epoch FROM p.at) * 1000000)::bigint, p.row, p.request_id, p.caller, p.prediction,
        p.scores, p.features
    FROM predictions.prediction AS p JOIN predictions.segment AS s ON s.number = p.segment
    WHERE p.model = %(model)s AND p.at >= %(early)s AND p.at < %(until)s
        AND s.logged_at <= %(as_of)s AND s.retired_at IS NULL
"""
_COLUMNS = ("segment", "line", "at", "row", "request_id", "caller", "prediction", "scores", "features")

_SEGMENTS = """
    SELECT number, version, registry_version, evidence, header FROM predictions.segment
    WHERE model = %(model)s AND last_at >= %(early)s AND first_at < %(until)s AND logged_at <= %(as_of)s
        AND retired_at IS NULL
"""

_IN_WINDOW = """EXISTS (
    SELECT FROM predictions.prediction AS p
    WHERE p.model = %(model)s AND p.at >= %(early)s AND p.at < %(until)s
        AND p.request_id = l.request_id AND p.row = l.row)
"""

_LABELS = f"""
    SELECT l.id, l.row, l.request_id, l.label FROM predictions.label AS l
    WHERE l.model = %(model)s AND l.arrived_at <= %(as_of)s AND {_IN_WINDOW}
"""
_PROTECTED = f"""
    SELECT l.id, l.row, l.request_id, l.values::text FROM predictions.protected AS l
    WHERE l.model = %(model)s AND l.arrived_at <= %(as_of)s AND {_IN_WINDOW}
"""
_LATER = ("id", "row", "request_id", "value")

_UNMATCHED = """
    SELECT count(*) FROM (
        SELECT DISTINCT l.request_id, l.row FROM predictions.label AS l
        WHERE l.model = %(model)s AND l.arrived_at >= %(since)s AND l.arrived_at < %(until)s
            AND l.arrived_at <= %(as_of)s
    ) AS l WHERE NOT EXISTS (
        SELECT FROM predictions.prediction AS p JOIN predictions.segment AS s ON s.number = p.segment
        WHERE p.request_id = l.request_id AND p.row = l.row AND p.model = %(model)s AND s.logged_at <= %(as_of)s)
"""


# The first label of each prediction that was ever told; of an id that stands for different features it belongs to none.
_ARRIVED = """
    SELECT (extract(epoch FROM l.arrived_at - min(p.at)) * 1000000)::bigint,
        (array_agg(s.evidence ORDER BY p.at, p.segment, p.line))[1], l.label::text,
        (array_agg(p.prediction::text ORDER BY p.at, p.segment, p.line))[1],
        (array_agg(p.scores::text ORDER BY p.at, p.segment, p.line))[1]
    FROM predictions.label AS l
    JOIN predictions.prediction AS p ON p.model = l.model AND p.request_id = l.request_id AND p.row = l.row
    JOIN predictions.segment AS s ON s.number = p.segment
    WHERE l.model = %(model)s AND l.arrived_at >= %(since)s AND l.arrived_at < %(until)s AND l.arrived_at <= %(as_of)s
        AND s.logged_at <= %(as_of)s AND s.retired_at IS NULL AND NOT EXISTS (
            SELECT FROM predictions.label AS e WHERE e.model = l.model AND e.request_id = l.request_id
            AND e.row = l.row AND e.id < l.id)
    GROUP BY l.id HAVING count(DISTINCT p.features::text) = 1 ORDER BY l.id
"""
_FIRST_LABELS = ("at", "evidence", "label", "prediction", "scores")

_REFUSED = """
    SELECT evidence, fault, feature, sum(requests)::bigint, sum(rows)::bigint FROM predictions.refusal
    WHERE model = %(model)s AND at >= %(since)s AND at < %(until)s AND logged_at <= %(as_of)s
    GROUP BY evidence, fault, feature ORDER BY 4 DESC, 2, 3
"""


@dataclass(frozen=True)
class Refusals:
    """Requests that one version refused for the same reason.

    Attributes:
        evidence: Digest of what was signed of the version.
        fault: ``form``, ``missing``, ``unknown``, ``value`` or ``protected``.
        feature: The feature that it was found at; empty where there is none.
        requests: How many.
        rows: How many rows they had, as far as they could be read.
    """

    evidence: str
    fault: str
    feature: str
    requests: int
    rows: int


@dataclass(frozen=True)
class Logged:
    """What production saw in a window, one row per predicted row, ordered by time, request id and row.

    Attributes:
        rows: ``at``, ``request_id``, ``row``, ``version``, ``registry_version``, ``evidence``, ``prediction``, and
            ``score`` (or ``score_0``, ``score_1``, … for classes).
        features: The model's features by name, same index as ``rows``.
        labels: The newest label that had arrived by ``as_of``, missing where none; same index.
        protected: Raw protected columns as far as known, missing where none; same index.
        unmatched: Labels of the window's arrival that belong to no known request, and of its rows that could belong to
            more than one.
        refused: Requests that were not answered because of what they said, the commonest fault first.
        arrived: First labels that arrived in the window, whenever they were asked for: ``delay`` in seconds,
            ``evidence`` of the version that answered, ``label``, ``prediction``, and scores as in ``rows``.
    """

    rows: "pd.DataFrame"
    features: "pd.DataFrame"
    labels: "pd.Series[Any]"
    protected: "pd.DataFrame"
    unmatched: int
    refused: tuple[Refusals, ...]
    arrived: "pd.DataFrame"


def read_window(dsn: str, model: str, since: datetime, until: datetime, as_of: datetime) -> Logged:
    """Return what a model was asked and answered in a window.

    Args:
        dsn: PostgreSQL address, as ``pipeline`` or ``auditor``.
        model: The model's name.
        since: Beginning of the window, itself included.
        until: Its end, itself excluded.
        as_of: What had arrived in the database by then counts.

    Raises:
        InputError: A time has no zone, the window has no length, or ``as_of`` is in the future.
        UnavailableError: The database does not answer.
    """
    values = {"model": model, "since": since, "early": since - RETRY, "until": until, "as_of": as_of}
    if any(moment.tzinfo is None for moment in (since, until, as_of)) or since >= until:
        raise InputError(f"Expected a window of times with a zone, found {since} to {until} as of {as_of}.")
    database = Database(dsn)
    try:
        return database.read(lambda connection: _read(connection, values), "read a window")
    finally:
        database.close()


def _read(connection: "Connection", values: dict[str, Any]) -> Logged:
    _settle(connection, values["as_of"])
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL timezone = 'UTC'")
        segments = connection.execute(_SEGMENTS, values).fetchall()
        rows, features = _predictions(connection, values, segments)
        labels = _later(connection, _LABELS, values)
        protected = _taken_apart(_later(connection, _PROTECTED, values))
        row = connection.execute(_UNMATCHED, values).fetchone()
        refused = connection.execute(_REFUSED, values).fetchall()
        arrived = _copied(connection, _ARRIVED, values, lambda body: _table(body, _FIRST_LABELS))
    ambiguous = _ambiguous(rows, features)
    known, apart = _newest_labels(labels), _newest_values(protected)
    clear, unclear = _split(known, ambiguous)
    return Logged(
        rows=rows.drop(columns="caller"),
        features=features,
        labels=_joined(rows, clear)["value"].rename("label"),
        protected=_joined(rows, _split(apart, ambiguous)[0]).drop(columns=KEYS),
        unmatched=(int(row[0]) if row else 0) + len(unclear),
        refused=tuple(Refusals(*one) for one in refused),
        arrived=_first_labels(arrived),
    )


def _settle(connection: "Connection", as_of: datetime) -> None:
    """Return once everything that arrived by the cut-off can be seen, and nothing can arrive before it any more."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    now = row[0] if row else datetime.now(UTC)
    if as_of > now + AHEAD:
        raise InputError(f"Expected a cut-off that has passed, found {as_of}; the database's clock says {now}.")
    time.sleep(max(0.0, (as_of - now).total_seconds()))  # at most AHEAD: the two clocks may differ so far
    connection.execute("SELECT predictions.settle()")


def _predictions(
    connection: "Connection", values: dict[str, Any], segments: list[tuple[Any, ...]]
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    import pandas as pd

    kinds = _kinds(segments)
    table = _copied(connection, _ROWS, values, lambda body: _parsed(body, kinds))
    order = [(name, "ascending") for name in ("at", "request_id", "row", "segment", "line")]
    table = table.take(_sorted(table, order))
    about = pd.DataFrame(segments, columns=["segment", "version", "registry_version", "evidence", "header"])
    at = pd.Index(about["segment"]).get_indexer(table["segment"].to_numpy())
    rows = pd.DataFrame(
        {
            "at": pd.to_datetime(table["at"].to_numpy(), unit="us", utc=True),
            "request_id": table["request_id"].to_pandas(),
            "row": table["row"].to_numpy(),
            "version": about["version"].to_numpy(dtype=object)[at],
            "registry_version": about["registry_version"].to_numpy(dtype=int)[at],
            "evidence": about["evidence"].to_numpy(dtype=object)[at],
            "prediction": _scalars(table["prediction"]),
            **_scores(table["scores"]),
            "caller": table["caller"].to_pandas(),
        }
    )
    features = pd.DataFrame({name: _feature(table[f"f.{name}"], kind) for name, kind in kinds.items()})
    keep = ~_retries(rows, features) & (rows["at"] >= values["since"]).to_numpy()
    return rows[keep].reset_index(drop=True), features[keep].reset_index(drop=True)


def _kinds(segments: list[tuple[Any, ...]]) -> dict[str, str]:
    """Return feature → type over all versions in the window, in the order of the newest."""
    kinds: dict[str, str] = {}
    for header in dict.fromkeys(_features_of(segment[-1]) for segment in sorted(segments, reverse=True)):
        for name, kind in header:
            known = kinds.setdefault(name, kind)
            if known != kind:
                kinds[name] = "float64" if {known, kind} <= {"int64", "float64", "bool"} else "string"
    return kinds


def _features_of(header: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, kind) for name, kind in canonical.from_bytes(header.encode())["features"])


def _copied(
    connection: "Connection", query: str, values: dict[str, Any], parse: "Callable[[bytes], pa.Table]"
) -> "pa.Table":
    """Return what a query gives, parsed in pieces of whole lines."""
    import pyarrow as pa

    tables, parts, size = [], [], 0
    # Parsed inside the COPY: an error then ends it, where a suspended generator would keep the connection for itself.
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT", values) as copy:
        for part in copy:
            parts.append(part)
            size += len(part)
            if size >= PIECE:
                tables.append(parse(b"".join(parts)))
                parts, size = [], 0
    tables.append(parse(b"".join(parts)))
    return pa.concat_tables(tables, promote_options="permissive")


def _table(body: bytes, names: tuple[str, ...]) -> "pa.Table":
    """Return the lines of a COPY as a table of whole numbers and texts."""
    import pyarrow as pa
    from pyarrow import csv

    whole = {name: pa.int64() for name in ("segment", "line", "at", "row", "id")}
    types = {name: whole.get(name, pa.string()) for name in names}
    if not body:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    # COPY doubles backslashes and escapes control characters; JSON holds none of the latter.
    return csv.read_csv(
        pa.BufferReader(body.replace(b"\\\\", b"\\")),
        csv.ReadOptions(column_names=list(names), block_size=PIECE * 2),
        csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False),
        csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )


def _parsed(body: bytes, kinds: dict[str, str]) -> "pa.Table":
    import pyarrow as pa

    table = _table(body, _COLUMNS)
    arrow = {"int64": pa.float64(), "float64": pa.float64(), "bool": pa.bool_()}
    fields = [(name, arrow.get(kind, pa.string())) for name, kind in kinds.items()]
    features = _objects(table["features"], pa.schema(fields))
    table = table.drop_columns(["features"])
    for name, _ in fields:
        table = table.append_column(f"f.{name}", features[name])
    return table


def _objects(texts: "pa.ChunkedArray", schema: "pa.Schema | None" = None) -> "pa.Table":
    """Return JSON objects as a table, a column for each key; without a schema, keys and types as they are found."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json

    flat = pa.concat_arrays([pa.array([], pa.string()), *texts.chunks])
    if len(flat) == 0 or (schema is not None and not schema.names):
        return (schema or pa.schema([])).empty_table()
    body = pc.binary_join(pa.ListArray.from_arrays([0, len(flat)], flat), "\n")[0].as_buffer()
    # A block is parsed by one thread, and an object must not be longer than a block.
    longest = pc.max(pc.binary_length(flat)).as_py()
    options = json.ReadOptions(block_size=max(BLOCK, 2 * longest))
    behaviour = {"explicit_schema": schema, "unexpected_field_behavior": "ignore"} if schema is not None else {}
    return json.read_json(pa.BufferReader(body), options, json.ParseOptions(**behaviour))


def _sorted(table: "pa.Table", order: list[tuple[str, str]]) -> "pa.Array":
    import pyarrow.compute as pc

    return pc.sort_indices(table, sort_keys=order)


def _feature(values: "pa.ChunkedArray", kind: str) -> Any:
    """Return a column with the logical type that a snapshot would give it (:mod:`governance.data.columns`)."""
    import pandas as pd

    if kind == "timestamp":
        return pd.to_datetime(values.to_pandas(), utc=True, format="ISO8601")
    if kind == "string":
        return values.to_pandas()
    if values.null_count:
        return values.cast("float64").to_pandas()
    return values.to_pandas().astype({"int64": "int64", "bool": "bool"}.get(kind, "float64"))


def _scalars(texts: "pa.ChunkedArray") -> Any:
    """Return JSON scalars as numbers where all of them are, else as they are."""
    import json

    import pyarrow as pa

    try:
        numbers = texts.cast(pa.float64()).to_pandas()
    except pa.ArrowInvalid:
        found = texts.to_pandas()
        return found.map({text: json.loads(text) for text in found.unique()}).astype(object)
    whole = len(numbers) > 0 and bool((numbers % 1 == 0).all()) and bool((numbers.abs() < 2**53).all())
    return numbers.astype("int64") if whole else numbers


def _scores(texts: "pa.ChunkedArray") -> "dict[str, pd.Series[Any]]":
    """Return one column of scores, or one for each class."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return {"score": texts.cast(pa.float64()).to_pandas()}
    except pa.ArrowInvalid:
        pass
    inner = pc.utf8_slice_codeunits(texts, 1, -1)
    parts = pc.split_pattern(inner, ",").combine_chunks()
    many = pc.max(pc.list_value_length(parts)).as_py()
    found = {}
    for place in range(many):
        # A version that knew fewer classes has no score for the others.
        at = pc.list_slice(parts, place, place + 1, return_fixed_size_list=True).flatten()
        found[f"score_{place}"] = pc.cast(at, pa.float64()).to_pandas()
    return found


def _retries(rows: "pd.DataFrame", features: "pd.DataFrame") -> Any:
    """Return which rows say again what an earlier one said: shape (n) of truth values."""
    import numpy as np

    again = np.zeros(len(rows), dtype=bool)
    candidates = np.flatnonzero(rows.duplicated(KEYS, keep=False).to_numpy())
    if len(candidates):
        some = rows.iloc[candidates].drop(columns="at").join(features.iloc[candidates], rsuffix=" of the features")
        again[candidates] = some.duplicated(keep="first").to_numpy()
    return again


def _ambiguous(rows: "pd.DataFrame", features: "pd.DataFrame") -> "pd.MultiIndex":
    """Return request ids and rows that stand for other features here and there."""
    import numpy as np
    import pandas as pd

    candidates = np.flatnonzero(rows.duplicated(KEYS, keep=False).to_numpy())
    keys = rows[KEYS].iloc[candidates].reset_index(drop=True)
    contents = keys.join(features.iloc[candidates].reset_index(drop=True), rsuffix=" of the features")
    differ = contents.drop_duplicates()
    return pd.MultiIndex.from_frame(differ[KEYS][differ.duplicated(KEYS, keep=False)].drop_duplicates())


def _later(connection: "Connection", query: str, values: dict[str, Any]) -> "pa.Table":
    """Return what arrived later for the window, oldest first."""
    table = _copied(connection, query, values, lambda body: _table(body, _LATER))
    return table.take(_sorted(table, [("id", "ascending")]))


def _first_labels(table: "pa.Table") -> "pd.DataFrame":
    import pandas as pd

    told = {"delay": table["at"].to_pandas() / 1_000_000, "evidence": table["evidence"].to_pandas()}
    said = {name: _scalars(table[name]) for name in ("label", "prediction")}
    return pd.DataFrame({**told, **said, **_scores(table["scores"])})


def _newest_labels(table: "pa.Table") -> Any:
    frame = table.drop_columns(["id", "value"]).to_pandas().assign(value=_scalars(table["value"]))
    return frame.drop_duplicates(KEYS, keep="last")


def _taken_apart(table: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    try:
        values = _objects(table["value"])
    except pa.ArrowInvalid:  # a column holds numbers here and texts there: one such row must not hide all others
        values = _as_texts(table["value"].to_pylist())
    kept = table.drop_columns(["value"])
    for name in values.column_names:
        kept = kept.append_column(f"v.{name}", values[name])
    return kept


def _as_texts(objects: "list[str]") -> "pa.Table":
    """Return JSON objects as a table; a column whose values are not of one kind as texts."""
    import json

    import pyarrow as pa

    parsed = [json.loads(text) for text in objects]
    names = sorted({name for one in parsed for name in one})
    columns = {}
    for name in names:
        values = [one.get(name) for one in parsed]
        numbers = all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        )
        told = [None if v is None else float(v) if numbers else str(v) for v in values]
        columns[name] = pa.array(told, pa.float64() if numbers else pa.string())
    return pa.table(columns)


def _newest_values(table: "pa.Table") -> Any:
    """Return request id, row and the protected columns: of each column, the newest value that is known."""
    frame = table.drop_columns(["id"]).to_pandas().rename(columns=lambda name: name.removeprefix("v."))
    again = frame.duplicated(KEYS, keep=False)
    if again.any():
        import pandas as pd

        frame = pd.concat([frame[~again], frame[again].groupby(KEYS, as_index=False).last()], ignore_index=True)
    return frame


def _joined(rows: "pd.DataFrame", later: "pd.DataFrame") -> "pd.DataFrame":
    return rows[KEYS].merge(later, on=KEYS, how="left")


def _split(later: "pd.DataFrame", ambiguous: "pd.MultiIndex") -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return what arrived for one prediction each, and what nobody can say for which."""
    import pandas as pd

    if ambiguous.empty or later.empty:
        return later, later.iloc[:0]
    unclear = pd.MultiIndex.from_frame(later[KEYS]).isin(ambiguous)
    return later[~unclear], later[unclear]
