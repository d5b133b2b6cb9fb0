"""A model that was released and is watched: real PostgreSQL, real MLflow, real snapshots; no Airflow between."""

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from governance.canonical import digest_of_bytes
from governance.ledger.log import Entry, Ledger
from governance.measures.explainability import measure_explainability
from governance.monitoring.collect import collect
from governance.monitoring.decide import decide_window
from governance.monitoring.facts import measure
from governance.monitoring.watch import DECIDED, Watch, open_watch
from governance.predictions import labels
from governance.predictions.database import Database as Log
from governance.predictions.log import PredictionLog
from governance.predictions.record import Batch, Refusal, Version
from governance.records import Measurement
from governance.training.candidate import OUT_OF_FOLD
from governance.training.split import JUDGING
from tests.integration.predictions.conftest import QUICK
from tests.integration.serving.conftest import House, house, mlflow, postgres, serve
from tests.integration.serving.services_under_test import mlflow_client
from tests.unit.release.permitted_world import FEATURES, MODEL, SAM, rows

__all__ = ["house", "mlflow", "postgres", "serve"]

TYPES = (("income", "float64"), ("age", "int64"), ("kind", "int64"), ("debt", "float64"))

_numbers = itertools.count(1)


@dataclass
class Watched:
    """A released model, those who ask it, and those who look at it."""

    house: House
    started: datetime

    def release(self, *, seed: int = 0, version: str = "1.0.0", features: Sequence[str] = tuple(FEATURES)) -> Entry:
        """Record a candidate with everything that a monitor reads of it, and that it serves from now on."""
        run_id = f"run-{next(_numbers)}"
        evidence = self.house.candidate(run_id, seed=seed, version=version, measured=importances(seed))
        document, run = evidence.data["evidence"], evidence.data["mlflow_run"]
        manifest = document["artifact"]["manifest"]
        candidate = {
            "run_id": run_id,
            "registry_version": document["model"]["registry_version"],
            "mlflow_run": run,
            "manifest": manifest,
            "out_of_fold": self._judged(run),
            "features": list(features),
            "artifact": {"trusted_types": list(self.house.world.spec.training.trusted_types)},
            "training": {"threshold": 0.4},
        }
        self._record("candidate", f"candidate:{run_id}", candidate)
        self.serves(evidence, version)
        return evidence

    def serves(self, evidence: Entry, version: str) -> Entry:
        document = evidence.data["evidence"]
        facts = {"version": version, "evidence": evidence.data["digest"], "previous": None}
        facts |= {"run_id": evidence.data["run_id"]}
        facts |= {"manifest": document["artifact"]["manifest"]}
        facts |= {"registry_version": document["model"]["registry_version"]}
        return self._record("release", f"release:{evidence.data['digest']}", facts)

    def serves_again(self, evidence: Entry) -> Entry:
        """Record that an earlier version came back."""
        release = self.house.ledger().get(f"release:{evidence.data['digest']}")
        return self._record("rollback", f"rollback:{next(_numbers)}", dict(release.data))

    def _record(self, kind: str, key: str, data: dict[str, Any]) -> Entry:
        return self.house.ledger().append(kind, MODEL, data, actor=SAM, key=key)

    def _judged(self, run: str) -> str:
        """Put honest scores beside the model's files, as training does; return their digest."""
        frame = rows()
        random = np.random.default_rng(7)
        score = np.clip(np.where(frame["approve"] == 1, 0.8, 0.2) + random.normal(0, 0.1, len(frame)), 0.01, 0.99)
        judged = pd.DataFrame({"row": range(len(frame)), "repetition": JUDGING, "label": frame["approve"]})
        judged = judged.assign(score=score, prediction=(score >= 0.4).astype(int))
        path = self.house.folder / OUT_OF_FOLD
        judged.to_parquet(path)
        mlflow_client(self.house.registry.url).log_artifact(run, str(path), "evaluation")
        return digest_of_bytes(path.read_bytes())

    # --- production ------------------------------------------------------------------------------------------------

    def ask(
        self,
        frame: pd.DataFrame,
        evidence: Entry,
        *,
        at: datetime | None = None,
        request: str | None = None,
        types: Sequence[tuple[str, str]] = TYPES,
    ) -> str:
        """Log a request as the scoring service does, and return once it is in the database."""
        request = request or f"r-{next(_numbers)}"
        version = _version(evidence, types)
        given = frame[[name for name, _ in types]].astype(object)
        plain = given.where(given.notna(), None).to_numpy().tolist()
        random = np.random.default_rng(11)
        score = np.clip(np.where(frame["approve"] == 1, 0.8, 0.2) + random.normal(0, 0.1, len(frame)), 0.01, 0.99)
        said = [int(one >= 0.4) for one in score]
        apart = [{"group": str(group)} for group in frame["group"]]
        batch = Batch(version, request, "desk", at or datetime.now(UTC), plain, said, score.tolist(), apart)
        self._log([batch], [])
        return request

    def refuse(self, evidence: Entry, faults: Sequence[str], feature: str, at: datetime | None = None) -> None:
        """Log requests of two rows each that were refused."""
        version, at = _version(evidence, TYPES), at or datetime.now(UTC)
        self._log([], [Refusal(version, fault, feature, at, 2) for fault in faults])

    def _log(self, batches: Sequence[Batch], refusals: Sequence[Refusal]) -> None:
        dsn = self.house.database.dsn("serving")
        with closing(Ledger(dsn)) as ledger:
            log = PredictionLog(self.house.folder / f"state-{next(_numbers)}", dsn, ledger, QUICK)
            for batch in batches:
                log.take(batch)
            for refusal in refusals:
                log.refuse(refusal)
            log.start()
            log.stop()
        assert (log.state()["waiting"], log.state()["lost"], log.state()["problem"]) == (0, 0, None)

    def tell(self, request: str, truth: Sequence[int]) -> None:
        """Say what came true."""
        log = Log(self.house.database.dsn("pipeline"))
        with closing(log):
            items = [{"request_id": request, "row": row, "label": int(one)} for row, one in enumerate(truth)]
            labels.write(log, MODEL, "test", items)

    # --- monitoring ------------------------------------------------------------------------------------------------

    def watch(self, run_id: str = "scheduled", until: datetime | None = None, **more: str) -> Watch:
        """Open the window from before the release to now, as a monitor's task does; ``more`` are settings."""
        until = until or datetime.now(UTC)
        return self.again((self.started, until, until), run_id, **more)

    def watch_of(self, frame: pd.DataFrame, evidence: Entry, **more: Any) -> Watch:
        """Ask about some rows, and open the window that holds them."""
        self.ask(frame, evidence, **more)
        return self.watch()

    def again(self, times: tuple[datetime, datetime, datetime], run_id: str = "scheduled", **more: str) -> Watch:
        """Open the same window with other settings, as a task that is cleared does."""
        known = {"GOVERNANCE_LEDGER_URL": self.house.database.dsn("pipeline"), **more}
        settings = self.house.world.with_services(**known).settings
        ledger = Ledger(settings.require("ledger_url"))
        self.house.database.ledgers.append(ledger)
        return open_watch(settings, ledger, MODEL, run_id, times)

    def decided(self, watch: Watch) -> dict[str, Any]:
        """Look at a window with all three steps; return the decision."""
        collect(watch)
        measure(watch)
        decide_window(watch)
        return dict(watch.need(DECIDED).data["decision"])

    def kinds(self) -> list[str]:
        """What a monitor has recorded."""
        found = self.house.ledger("auditor").find(subject=MODEL)
        return [entry.kind for entry in found if entry.kind in ("window", "watched", "monitoring")]


@cache
def importances(seed: int) -> list[Measurement]:
    """What drives the model that :meth:`World.train` makes of this seed."""
    frame = rows()
    model = HistGradientBoostingClassifier(random_state=seed, max_iter=30 + seed, max_leaf_nodes=4)
    model.fit(frame[list(FEATURES)], frame["approve"])
    found = measure_explainability(model, frame[list(FEATURES)], frame[list(FEATURES)])
    return [one for one in found if one.name == "explainability.importance"]


def _version(evidence: Entry, types: Sequence[tuple[str, str]]) -> Version:
    model = evidence.data["evidence"]["model"]
    return Version(MODEL, model["version"], model["registry_version"], evidence.data["digest"], tuple(types))


def times_of(watch: Watch) -> tuple[datetime, datetime, datetime]:
    return watch.since, watch.until, watch.as_of


def usual(count: int = 300, seed: int = 3) -> pd.DataFrame:
    """Rows as the model was trained on, drawn anew."""
    return rows().sample(count, replace=True, random_state=seed).reset_index(drop=True)


@pytest.fixture
def watched(house: House) -> Watched:
    return Watched(house, datetime.now(UTC) - timedelta(hours=1))


@pytest.fixture
def champion(watched: Watched) -> Entry:
    return watched.release()
