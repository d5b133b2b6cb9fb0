"""A real MLflow with models that somebody else trained and logged, and a checkout of one small governed model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.integration.serving.services_under_test import Service, mlflow_at, mlflow_client, mlflow_server
from tests.integration.trial.test_try import CONTRACT, PEOPLE, POLICY, SPEC, TIER, TRAIN, rows

FAIR, UNFAIR = ["income", "debt"], ["income", "debt", "district"]


@pytest.fixture(scope="session")
def mlflow_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    server = mlflow_server(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server.start()
    finally:
        server.stop()


@dataclass(frozen=True)
class Logged:
    """What somebody logged: URIs by what they are."""

    url: str
    fair: str
    unfair: str
    pickled: str
    run: str


@pytest.fixture(scope="session")
def logged(mlflow_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Models as another team's training logs them."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    client = mlflow_client(mlflow_service.url)
    frame = rows()
    with mlflow_at(mlflow_service.url, "another team"), mlflow.start_run() as run:
        known = {"pip_requirements": ["nothing"], "signature": infer_signature(frame[FAIR])}
        mlflow.xgboost.log_model(boosted(FAIR), name="model", registered_model_name="credit", **known)
        known["signature"] = infer_signature(frame[UNFAIR])
        mlflow.xgboost.log_model(boosted(UNFAIR), name="unfair", registered_model_name="credit", **known)
        plain = LogisticRegression().fit(frame[UNFAIR], frame["good"])
        pickled = mlflow.sklearn.log_model(plain, name="pickled", serialization_format="cloudpickle", **known)
    client.set_registered_model_alias("credit", "best", "1")
    return Logged(mlflow_service.url, "models:/credit/1", "models:/credit/2", pickled.model_uri, run.info.run_id)


def boosted(columns: list[str], frame: pd.DataFrame | None = None) -> Any:
    import xgboost

    data = rows() if frame is None else frame
    return xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(data[columns], data["good"])


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the model ``card``."""
    root = tmp_path_factory.mktemp("checkout")
    folder = root / "include" / "models" / "card"
    for path, text in {
        folder / "model.yaml": SPEC,
        folder / "policy.yaml": POLICY,
        folder / "train.py": TRAIN,
        folder / "contract.json": json.dumps(CONTRACT),
        folder / "card.csv": rows().to_csv(index=False),
        root / "include" / "policies" / "high.yaml": TIER,
        root / "include" / "people.yaml": PEOPLE,
        root / "requirements.txt": "numpy==1\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
