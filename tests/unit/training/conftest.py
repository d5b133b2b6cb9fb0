"""Folders, rows, keys and a sandbox for the tests of training."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.catalog import Limits
from governance.keys import PublicKeys, Signer
from governance.training.artifacts import Description, Feature
from governance.training.fits import Recipe, TrainingSet
from governance.training.sandbox import Sandbox
from governance.training.tasks import BinaryClassification

LOGISTIC = """
    from sklearn.linear_model import LogisticRegression

    def fit(frame, params, weights=None):
        return LogisticRegression(C=params.get("C", 1.0)).fit(frame.drop(columns="paid"), frame["paid"], weights)
"""

QUICK = Limits(seconds=90, memory_mb=1024)

RECIPE = Recipe({"C": 1.0}, seed=0)

PAID = BinaryClassification(1)


STARTED = {"two_trainers", "open_sandbox", "fitter", "candidate"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs training processes, whose start takes seconds: ``make test-fast`` does without."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and STARTED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.training)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[str], Path]:
    def make(source: str) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(dedent(source))
        return folder

    return make


@pytest.fixture
def folder(make_folder: Callable[[str], Path]) -> Path:
    return make_folder(LOGISTIC)


@pytest.fixture(scope="session")
def two_trainers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Trainers are folder-blind and import for seconds: one pair serves all tests."""
    with Sandbox(tmp_path_factory.mktemp("none"), target="paid", task=PAID, workers=2) as sandbox:
        yield sandbox


@pytest.fixture
def open_sandbox(two_trainers: Sandbox) -> Callable[..., Sandbox]:
    def opened(folder: Path, limits: Limits = QUICK) -> Sandbox:
        two_trainers.folder, two_trainers.limits = folder.resolve(), limits
        return two_trainers

    return opened


@pytest.fixture(scope="session")
def rows() -> TrainingSet:
    """120 applicants of two groups; income decides, and the groups differ in income and in postcode."""
    random = np.random.default_rng(0)
    groups = np.where(np.arange(120) % 3 == 0, "few", "many")
    income = random.normal(np.where(groups == "few", -0.8, 0.4), 1.0)
    features = pd.DataFrame(
        {
            "income": income,
            "postcode": (groups == "few") + random.normal(0, 0.3, 120),
            "age": random.integers(20, 70, 120),
        }
    )
    paid = pd.Series((income + random.normal(0, 0.7, 120) > -0.7).astype(int), name="paid")
    return TrainingSet(features, paid, PAID, groups=groups)


@pytest.fixture(scope="session")
def description(rows: TrainingSet) -> Description:
    features = tuple(Feature(name, str(dtype), f"the {name}") for name, dtype in rows.features.dtypes.items())
    said = "The loan was paid back."
    return Description("credit", "Recommends a loan.", features, PAID.name, "paid", said, favourable=1, threshold=0.5)


def make_keys(folder: Path, name: str = "artifact") -> tuple[Signer, PublicKeys]:
    folder.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private", folder / f"{name}.pem"
    private.touch(mode=0o600)
    encoding = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return Signer.from_file(private, name), PublicKeys.from_folder(folder)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, PublicKeys]:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture(scope="session")
def signer(keys: tuple[Signer, PublicKeys]) -> Signer:
    return keys[0]


@pytest.fixture(scope="session")
def public_keys(keys: tuple[Signer, PublicKeys]) -> PublicKeys:
    return keys[1]
