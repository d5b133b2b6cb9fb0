"""A fitted model as bytes: written so that equal models are equal bytes, read without running anything.

skops names the parts of its zip file after memory addresses and stamps them with the time. ``to_bytes`` renumbers and
re-dates them, so that the same inputs give the same digest, and a task that runs again signs the same thing. Nothing
is compressed: zlib's output differs between its versions.

``from_bytes`` builds only types that skops trusts by itself (scikit-learn's estimators, numpy, plain values) and those
that the reviewed spec lists. The list is never taken from the file, and never from MLflow's ``MLmodel``: that was the
hole of GHSA-w582-9x45-8mpx.

Not guaranteed: that two versions of scikit-learn or skops write the same bytes.
"""

import io
import itertools
import json
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from governance.errors import InputError, RefusedError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip file can hold."""

SCHEMA = "schema.json"

HOUSE_TYPES = ("numpy.dtype",)
"""What skops does not trust by itself and every model may hold: the name of a number format."""

BOOSTERS = {
    "lightgbm": "LightGBM's text, `mlflow.lightgbm.log_model(model.booster_, name='model')`",
    "xgboost": "XGBoost's, `mlflow.xgboost.log_model(model, name='model', model_format='ubj')`",
}
"""Libraries whose models skops wraps, and what their own format is."""

LARGEST = 4 * 1024**3
"""Bytes, unpacked. A file of a kilobyte could otherwise fill the memory."""


def to_bytes(model: object) -> bytes:
    """Return a model in skops' format, the same bytes for the same model.

    Raises:
        InputError: skops cannot save it.
    """
    import skops.io

    try:
        return _normalised(skops.io.dumps(model))
    except (skops.io.exceptions.UnsupportedTypeException, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected a model that skops can save, found a {type(model).__name__}: {error}. "
            f"Build it of scikit-learn's own classes."
        ) from error


def from_bytes(body: bytes, trusted_types: Sequence[str]) -> Any:
    """Rebuild a model.

    Args:
        body: A skops file.
        trusted_types: What it may hold besides skops' own defaults: ``training.trusted_types`` of the spec.

    Raises:
        RefusedError: It holds a type that is not allowed; the message says what to add to ``model.yaml``.
        InputError: It is not a skops file, or unpacks to more than :data:`LARGEST` bytes.
    """
    import skops.io

    _require_reasonable_size(body)
    allowed = [*HOUSE_TYPES, *trusted_types]
    try:
        return skops.io.loads(body, trusted=allowed)
    except skops.io.exceptions.UntrustedTypesFoundException:
        refused = sorted(set(skops.io.get_untrusted_types(data=body)) - set(allowed))
    except Exception as error:  # whatever a crafted file makes skops stumble over
        raise InputError(
            f"Expected a model file in skops' format, found one that does not load: {type(error).__name__}: {error}. "
            f"Train it again."
        ) from error
    if boosters := sorted({name.partition(".")[0] for name in refused} & set(BOOSTERS)):
        named = " and ".join(BOOSTERS[name] for name in boosters)
        raise RefusedError(
            f"Expected only types that the spec allows, found {', '.join(refused)}: a model inside of skops, where its "
            f"own format holds no code at all. Save it in that: {named}."
        )
    lines = "\n".join(f"    - {name}" for name in refused)
    raise RefusedError(
        f"Expected only types that the spec allows, found {', '.join(refused)}. If you trust them, and after review, "
        f"write in model.yaml under training.trusted_types:\n{lines}"
    )


def _require_reasonable_size(body: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise InputError(f"Expected a model file in skops' format, found something else: {error}.") from error
    if size > LARGEST:
        raise InputError(f"Expected a model of at most {LARGEST:,} bytes, found one that unpacks to {size:,}.")


def _normalised(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        numbering = _Numbering()
        schema = numbering.renumber(json.loads(source.read(SCHEMA)))
        parts = [name for name in source.namelist() if name != SCHEMA]
        members = {numbering.files[name]: _without_padding(source.read(name)) for name in parts}
        members[SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
        for name in sorted(members):
            target.writestr(zipfile.ZipInfo(name, EPOCH), members[name])
    return buffer.getvalue()


def _without_padding(body: bytes) -> bytes:
    """Zero the gaps between the fields of a structured array: they hold whatever was in memory before."""
    if b"'descr': [" not in body[:256]:
        return body
    import numpy as np

    array = np.load(io.BytesIO(body), allow_pickle=False)
    written = np.zeros(array.dtype.itemsize, dtype=np.uint8)
    for field, offset, *_ in (array.dtype.fields or {}).values():
        written[offset : offset + field.itemsize] = 1
    start = len(body) - array.nbytes
    rows = np.frombuffer(body, np.uint8, offset=start).reshape(-1, array.dtype.itemsize)
    return body[:start] + (rows * written).tobytes()


class _Numbering:
    """Numbers the objects of a schema, and the files named after them, in the order in which they occur."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._objects: dict[int, int] = {}
        self._counter = itertools.count(1)  # 0 would read as "no identity"

    def renumber(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.renumber(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {key: self._value(key, value, node) for key, value in node.items()}

    def _value(self, key: str, value: Any, node: dict[str, Any]) -> Any:
        if key == "__id__" and isinstance(value, int):
            return self._objects.setdefault(value, next(self._counter))
        if key == "file" and isinstance(value, str) and "__loader__" in node:
            return self._file(value)
        return self.renumber(value)

    def _file(self, name: str) -> str:
        if name not in self.files:
            self.files[name] = f"{len(self.files)}{PurePosixPath(name).suffix}"
        return self.files[name]
