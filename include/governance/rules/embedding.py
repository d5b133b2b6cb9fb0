"""The model folder's own embeddings: ``embedding.py`` with ``embed(frame, files)``, run as its drift measure is.

Of text and pictures single values say little; an embedding turns each row into numbers. The function sees one table,
the rows of the reference and of the window together and shuffled, and is not told which is which: so whatever it learns
of them it learns of both, and without drift no classifier can tell them apart. ``files`` holds what lies in the folder
``embedding/`` (weights, a vocabulary, an ONNX model), as bytes by name.

Neighbours: :mod:`governance.measures.drift_classifier` compares the two sides. Not guaranteed: that an embedding keeps
what matters.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from governance import canonical
from governance.rules.drift import columns_of
from governance.rules.evaluate import one_line, run_apart_for_bytes, source_of

if TYPE_CHECKING:
    import pandas as pd

Matrix = npt.NDArray[np.float32]

FILE, FUNCTION, BESIDE = "embedding.py", "embed", "embedding"
SECONDS = 60.0
"""How long it may take, besides the start of its process."""

ROWS = 5_000
"""So many rows of each side are embedded at most: drawn at random, the same ones each time."""

LARGEST_FILES, LARGEST_MATRICES = 100_000_000, 1 << 26
"""Bytes of all files beside it, and of all embeddings."""


@dataclass(frozen=True)
class Embeddings:
    """Both sides of every embedding of a model.

    Attributes:
        sides: Name → the reference's rows, shape (m, width), and the window's, shape (n, width).
        method: What made them: the file's SHA-256.
        fault: Why there are none, where the folder has an ``embedding.py`` that failed.
    """

    sides: Mapping[str, tuple[Matrix, Matrix]] = field(default_factory=dict)
    method: str = ""
    fault: str | None = None


def embed(folder: Path, reference: "pd.DataFrame", current: "pd.DataFrame") -> Embeddings:
    """Embed rows of both sides.

    Args:
        folder: The model's folder.
        reference: What is usual, shape (m, features).
        current: What came now, shape (n, columns); the reference's columns of it are shown.

    Returns:
        None of any where the folder has no ``embedding.py``.
    """
    file = folder / FILE
    if not file.exists():
        return Embeddings()
    source, fault = source_of(file)
    method = f"python {canonical.digest_of_bytes(source.encode())}"
    files, unread = _files(folder / BESIDE)
    if fault or unread:
        return Embeddings(method=method, fault=one_line(f"{FILE}: {fault or unread}"))
    return _embedded(source, files, method, *_pooled(reference, current))


def _embedded(source: str, files: Mapping[str, str], method: str, pooled: "pd.DataFrame", first: Any) -> Embeddings:
    request = {
        "kind": "embedding",
        "name": FILE,
        "function": FUNCTION,
        "seconds": SECONDS,
        "source": source,
        "input": columns_of(pooled),
        "files": files,
        "rows": len(pooled),
    }
    said, body = run_apart_for_bytes(request, lambda said: _are_shapes(said, len(pooled)), LARGEST_MATRICES)
    fault = said.get("fault")
    if not fault:
        found = _matrices(said["shapes"], body)
        fault = _strange(found)
    if fault:
        return Embeddings(method=method, fault=one_line(f"{FILE}: {fault}"))
    return Embeddings({name: (each[first], each[~first]) for name, each in sorted(found.items())}, method)


def _pooled(reference: "pd.DataFrame", current: "pd.DataFrame") -> tuple["pd.DataFrame", Any]:
    """Return rows of both sides in one table, shuffled, and which of them are the reference's."""
    import pandas as pd

    names = [name for name in reference.columns if name in current.columns]
    sides = [side[names] for side in (reference, current)]
    some = [side if len(side) <= ROWS else side.sample(n=ROWS, random_state=0) for side in sides]
    order = np.random.default_rng(0).permutation(len(some[0]) + len(some[1]))
    return pd.concat(some, ignore_index=True).iloc[order].reset_index(drop=True), order < len(some[0])


def _files(folder: Path) -> tuple[dict[str, str], str | None]:
    """Return what lies beside it, in base 64 by name, and what is wrong with it."""
    try:
        bodies = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
    except OSError as error:
        return {}, f"{BESIDE}/ cannot be read: {error.strerror}"
    if sum(map(len, bodies.values())) > LARGEST_FILES:
        return {}, f"the files in {BESIDE}/ are larger than {LARGEST_FILES // 1_000_000} MB"
    return {name: base64.b64encode(body).decode() for name, body in bodies.items()}, None


def _are_shapes(said: dict[str, Any], rows: int) -> bool:
    shapes = said.get("shapes")
    if said.keys() != {"shapes"} or not isinstance(shapes, dict) or not shapes:
        return False
    return all(shape[0] == rows and shape[1] >= 1 for shape in shapes.values())


def _matrices(shapes: Mapping[str, tuple[int, int]], body: bytes) -> dict[str, Matrix]:
    """Return the embeddings by name; none where the numbers are not as many as their shapes say."""
    numbers, begin = np.frombuffer(body[: len(body) // 4 * 4], "<f4"), 0
    found: dict[str, Matrix] = {}
    for name, (rows, width) in shapes.items():
        found[name] = numbers[begin : begin + rows * width]
        begin += rows * width
    whole = 4 * begin == len(body)
    return {name: each.reshape(shapes[name]) for name, each in found.items()} if whole else {}


def _strange(found: Mapping[str, Matrix]) -> str | None:
    """Say what is wrong with embeddings; the other side looked, too, but runs what it looks at."""
    if not found or not all(np.isfinite(each).all() for each in found.values()):
        return "it returned no numbers"
    alike = [name for name, each in found.items() if (each == each[0]).all()]
    return f"{alike[0]}: every row has the same embedding, so that it tells nothing" if alike else None
