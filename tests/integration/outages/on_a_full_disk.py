"""Run in a mount namespace of its own: writes to a disk that is full, makes room, and writes again.

Prints one JSON document: for each thing written, what was said, what was left, and whether it worked with room.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from governance.data import snapshots
from governance.errors import GovernanceError
from governance.keys import Signer
from governance.training.artifacts import Description, Feature, write_artifact

DISK = Path(sys.argv[1])
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(5000, 20)), columns=[f"c{i}" for i in range(20)])


def mount(options: str) -> None:
    """Mount the disk, or give it another size."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(DISK)], check=True)


def snapshot() -> None:
    """Freeze a table."""
    snapshots.freeze(FRAME, model="tiny", root=str(DISK / "snapshots"))


def model() -> None:
    """Write a signed model."""
    forest = RandomForestClassifier(60, random_state=0).fit(FRAME, (FRAME["c0"] > 0).astype(int))
    features = tuple(Feature(name, "float64", "") for name in FRAME)
    said = Description("tiny", "Tests.", features, "binary_classification", "y", "Yes.", favourable=1, threshold=0.5)
    write_artifact(DISK / "model", forest, said, signer=Signer.passing("artifact"))


def attempt(write: Callable[[], None]) -> str | None:
    """Return what was said, or nothing where it worked."""
    try:
        write()
    except GovernanceError as error:
        return str(error)
    return None


mount("size=300k")
full = {write.__name__: attempt(write) for write in (snapshot, model)}
left = sorted(path.name for path in DISK.iterdir())
mount("remount,size=60m")
roomy = {write.__name__: attempt(write) for write in (snapshot, model)}
print(json.dumps({"full": full, "left": left, "roomy": roomy, "model": sorted(p.name for p in DISK.glob("model/*"))}))
