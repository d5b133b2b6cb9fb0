"""Files tracked by DVC: ``dvc:applications.csv.dvc``.

The pointer, a small YAML file under version control, names a file and its digest. The file is taken from beside the
pointer or from DVC's cache, read once, compared with the digest, and only then parsed, from these very bytes. DVC
itself is not needed; ``dvc pull`` brings a file that is not here yet.

Not guaranteed: more than MD5 can say. It finds a file that was changed or damaged, not one that somebody prepared to
have the digest of another. What is signed is the snapshot's SHA-256.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from governance.data.sources import files, limits, parquet, textfile
from governance.data.sources.files import File
from governance.errors import InputError, TamperedError

if TYPE_CHECKING:
    import pandas as pd

ALGORITHMS = ("sha256", "md5")
PARSERS = {".csv": textfile.parse, ".parquet": parquet.parse}
CACHES = (".dvc/cache/files/md5", ".dvc/cache")
"""Where DVC 3 and DVC 2 keep files, below the repository."""


def read(name: str, folder: Path) -> "pd.DataFrame":
    """Read the file that a pointer names.

    Raises:
        InputError: The pointer is none, tracks a folder, or its file is not here.
        TamperedError: The file is not the one that the pointer names.
    """
    pointer = folder / name
    out = _out(pointer)
    path = PurePosixPath(out["path"])
    if path.suffix not in PARSERS:
        raise InputError(f"{pointer}: expected a file ending in .csv or .parquet, found {path}.")
    return PARSERS[path.suffix](_verified(pointer, out))


def _out(pointer: Path) -> dict[str, Any]:
    if not pointer.is_file():
        raise InputError(f"Expected a DVC pointer at {pointer}, found none. Paths are relative to the model's folder.")
    import yaml

    try:
        document = yaml.safe_load(pointer.read_bytes())
        (out,) = document["outs"]
        usable = isinstance(out["path"], str) and any(isinstance(out.get(name), str) for name in ALGORITHMS)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, ValueError):
        usable = False
    if not usable:
        raise InputError(
            f"{pointer} is not a DVC pointer of one file: expected `outs:` with one path and its md5. "
            f"Write it with `dvc add`."
        )
    if any(str(out.get(name)).endswith(".dir") for name in ALGORITHMS):
        raise InputError(
            f"{pointer} tracks a folder. Expected one file: track the file that the model uses with `dvc add`."
        )
    return {**out, "beside": pointer.parent / str(document.get("wdir") or ".") / out["path"]}


def _verified(pointer: Path, out: dict[str, Any]) -> File:
    algorithm = next(name for name in ALGORITHMS if isinstance(out.get(name), str))
    expected = out[algorithm].lower()
    path = next((path for path in _places(pointer, out, expected) if path.is_file()), None)
    if path is None:
        raise InputError(
            f"Expected the file {out['beside']} or DVC's copy of it, found none. Run `dvc pull {pointer}`."
        )
    found = files.find(str(path), pointer.parent)
    limits.check_memory(2 * found.size, found.where)
    body = path.read_bytes()
    digest = hashlib.new(algorithm, body, usedforsecurity=False).hexdigest()
    if digest != expected or out.get("size", len(body)) != len(body):
        raise TamperedError(
            f"{path} is not the file that {pointer} names: expected {algorithm} {expected}, found {digest} "
            f"({len(body):,} bytes). Run `dvc checkout`, or `dvc add` and have the new pointer reviewed."
        )
    return files.in_memory(str(path), body)


def _places(pointer: Path, out: dict[str, Any], digest: str) -> list[Path]:
    repository = next((up for up in pointer.resolve().parents if (up / ".dvc").is_dir()), pointer.parent)
    return [out["beside"], *(repository / cache / digest[:2] / digest[2:] for cache in CACHES)]
