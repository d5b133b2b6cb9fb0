"""Windows of a watched model, as the monitor enters them: a quiet history, and what happens in it.

The numbers are made up by a seeded generator; the decisions are taken by the real function, with the real policy.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from governance.measures.drift_shapes import Bin, Shape
from governance.monitoring.decision import Before, Decision, Seen, Standing, Target, decide
from governance.records import Measurement
from tests.unit.plugins import example

FEATURES = (
    "obrat", "loanamt", "hrat", "appinc", "atotinc", "lines", "dep", "emp", "yjob", "self", "old", "vr", "unem",
    "cosign", "liq", "rep", "gdlin", "mortno", "mortperf", "multi", "pubrec", "sch", "term", "thick", "price",
)  # fmt: skip
ATTRIBUTES = ("race", "sex", "marital status", "age")
SIGNED = {"race": 0.088, "sex": 0.011, "marital status": 0.012, "age": 0.008}


def drift(rng: random.Random, moved: dict[str, float], rows: int = 1000, p_zero: bool = True) -> list[Measurement]:
    """Return what is measured of every feature, and the share that drifted; ``moved`` has the PSI of those that did."""
    found = []
    for name in FEATURES:
        psi = moved.get(name, rng.uniform(0.002, 0.03))
        of = {"column": name}
        found += [
            Measurement("drift.psi", psi, rows, of, max(psi - 0.03, 0), psi + 0.04, "delta"),
            Measurement("drift.ks", min(psi, 0.9) ** 0.5 / 3, rows, of, 0.0, 0.2, "dkw"),
            Measurement("drift.wasserstein", psi * 12, rows, of, method="exact"),
            Measurement("drift.missing_change", 0.0, rows, of, -0.002, 0.002, "newcombe"),
            Measurement("drift.p_value", 0.0 if name in moved else rng.uniform(0.2, 1), rows, of, method="exact"),
        ]
    share = sum(psi >= 0.2 for psi in moved.values()) / len(FEATURES)
    return [*found, Measurement("drift.share_drifted", share, len(FEATURES), method="counted")]


def measured(
    rng: random.Random,
    *,
    moved: dict[str, float] | None = None,
    answers: float | None = None,
    loss: float | None = None,
    parity: dict[str, float] | None = None,
    rows: int = 1000,
) -> list[Measurement]:
    """Return everything that is measured of a window; what is not given is quiet, and without a loss no label came."""
    psi = answers if answers is not None else rng.uniform(0.004, 0.02)
    few = "not enough data: 0 labels, 100 are needed"
    rise = (
        Measurement("performance.loss_rise", loss, rows // 3, {}, loss - 0.02, loss + 0.02, "newcombe")
        if loss is not None
        else Measurement("performance.loss_rise", None, 0, reason=few)
    )
    found = [
        *drift(rng, moved or {}, rows),
        Measurement("drift.prediction_psi", psi, rows, {}, psi * 0.4, psi * 2, "delta"),
        rise,
    ]
    for attribute in ATTRIBUTES:
        value = (parity or {}).get(attribute, max(SIGNED[attribute] + rng.gauss(0, 0.008), 0.0))
        of = {"attribute": attribute}
        if attribute == "age" and rng.random() < 0.3:
            reason = "not enough data: fewer than 100 rows in a group"
            found.append(Measurement("fairness.demographic_parity_difference", None, rows, of, reason=reason))
        else:
            ends = max(value - 0.05, 0.0), value + 0.06
            found.append(Measurement("fairness.demographic_parity_difference", value, rows, of, *ends, "bootstrap"))
    return found


def shapes(rng: random.Random, found: list[Measurement]) -> list[Shape]:
    """Return distributions of what the model says and of every feature, moved upwards by how far each is said to be."""
    psi = {one.slice.get("column", ""): one.value or 0.0 for one in found if one.name.endswith("psi")}
    return [_shape(rng, name, psi[name]) for name in ("", *FEATURES) if name in psi]


def _shape(rng: random.Random, name: str, psi: float) -> Shape:
    tilt = 1 + 0.3 * psi**0.5
    if name in ("self", "cosign", "gdlin", "sch"):
        yes = min(int(120 * tilt**9), 1000)
        kept = Bin(None, None, "False", 1741, 1000 - yes), Bin(None, None, "True", 248, yes)
        return Shape(name, "values", (1989, 1000), (0, 0), kept)
    weights = [max(tilt**at + rng.gauss(0, 0.06), 0.01) for at in range(10)]
    start = 400.0 * (FEATURES.index(name) + 1) if name else 0.0
    step = start / 7 if name else 0.1
    ends = [None, *(round(start + at * step, 2) for at in range(1, 10)), None]
    bins = [
        Bin(ends[at], ends[at + 1], None, 197, int(980 * weight / sum(weights))) for at, weight in enumerate(weights)
    ]
    now = sum(one.current for one in bins)
    return Shape(name, "numbers", (1989, 1000), (19, 1000 - now), tuple(bins))


class Monitor:
    """Enters windows of one model into a ledger, one day after the other."""

    def __init__(self, ledger: Any, model: str = "loan", first: datetime | None = None, seed: int = 0) -> None:
        self.ledger, self.model, self.rng = ledger, model, random.Random(seed)
        self.until = first or datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=95)
        self.champion: str | None = None
        self.version: str | None = None
        self.before: list[Before] = []
        self.targets: list[Target] = []

    def release(self, version: str, evidence: str, at: datetime | None = None, kind: str = "release") -> None:
        """Let a version serve."""
        at = at or self.until + timedelta(hours=9)
        previous = {"version": self.version, "evidence": self.champion} if self.champion else None
        data = {"version": version, "evidence": evidence, "manifest": evidence, "previous": previous,
                "permit_expires_at": (at + timedelta(days=365)).isoformat()}  # fmt: skip
        self.ledger.append(kind, self.model, data, actor="pipeline", key=f"{kind}:{self.model}:{at.isoformat()}", at=at)
        self.version, self.champion, self.before = version, evidence, []

    def window(
        self,
        found: list[Measurement] | None = None,
        *,
        rows: int = 1000,
        labelled: int = 0,
        faults: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        dry_run: bool = False,
        policy: str = example.POLICY.digest,
        skip: int = 0,
        length: timedelta = timedelta(days=1),
        decided: Decision | None = None,
    ) -> Any:
        """Enter the next window, decided by the real function; return the entry of the decision."""
        since, until = self.until + timedelta(days=skip), self.until + timedelta(days=skip) + length
        self.until = until
        found = [] if faults or not rows else found if found is not None else measured(self.rng, rows=rows)
        signed = [
            Measurement("fairness.demographic_parity_difference", value, 1989, {"attribute": name})
            for name, value in SIGNED.items()
        ]
        seen = Seen(since, until, rows, found, faults, signed)
        standing = Standing(before=self.before, targets=self.targets)
        decision = decided or decide(example.POLICY.monitoring, seen, standing)
        self.before.append(Before(until, decision.action, decision.breaches))
        return self._enter(decision, seen, labelled, warnings, dry_run, policy)

    def _enter(self, decision, seen, labelled, warnings, dry_run, policy) -> Any:
        at = seen.until + timedelta(minutes=2)
        times = {"since": seen.since.isoformat(), "until": seen.until.isoformat(), "as_of": seen.until.isoformat(),
                 "run_id": f"scheduled__{seen.until.isoformat()}"}  # fmt: skip
        key = f"{self.model}:{seen.until.isoformat()}"
        window = {**times, "rows": seen.rows, "labelled": labelled, "unmatched": 0, "champion": self.champion,
                  "by_version": {self.version: seen.rows} if seen.rows else {}, "snapshot": None,
                  "faults": list(seen.faults), "warnings": list(warnings)}  # fmt: skip
        watched = {**times, "measurements": [one.to_dict() for one in seen.measured],
                   "shapes": [one.to_dict() for one in shapes(random.Random(seen.rows), seen.measured)],
                   "reference": "snapshot 16a0eeb0791b6c92" if seen.measured else "none"}  # fmt: skip
        decided = {**times, "decision": decision.to_dict(), "champion": self.champion, "version": self.version,
                   "policy": policy, "dry_run": dry_run,
                   "window": f"window:{key}", "watched": f"watched:{key}"}  # fmt: skip
        for kind, data in (("window", window), ("watched", watched), ("monitoring", decided)):
            entry = self.ledger.append(kind, self.model, data, actor="pipeline", key=f"{kind}:{key}", at=at)
        return entry


def report(ledger: Any, decided: Any, sampled: int = 1000) -> None:
    """Enter where Evidently's report of a decided window is kept."""
    page = "http://mlflow.test/#/experiments/4/runs/ab12/artifacts/evidently.html"
    data = {"page": page, "rows": [1989, 1000], "sampled": [min(sampled, 1989), min(sampled, 1000)], "seed": 0,
            "left_out": []}  # fmt: skip
    key = decided.key.replace("monitoring:", "report:", 1)
    ledger.append("report", decided.subject, data, actor="pipeline", key=key)


def three_months(office: Any) -> Monitor:
    """Enter the story: quiet days, a data fault, a shift and a retraining, an unfair version and the way back."""
    evidence = office.waiting_attempt()
    monitor = Monitor(office.ledger)
    monitor.release("1.0.0", evidence, at=monitor.until - timedelta(days=3))
    rng = monitor.rng

    def label(day: int) -> dict[str, Any]:
        return {"loss": rng.gauss(0.0, 0.008)} if day < 76 else {}

    for day in range(90):
        late = {"labelled": 330 if day < 70 else 330 - 40 * (day - 70) if day < 76 else 0}
        if day == 20:
            monitor.window(faults=("obrat is null in 212 of 1,000 rows (21.2 %), at most 1 % are tolerated",))
        elif day == 31:
            monitor.window(rows=0)
        elif day in (44, 45):
            monitor.window(measured(rng, rows=48), rows=48, labelled=12)
        elif day == 50:
            monitor.window(measured(rng, **label(day)), skip=4, **late)
        elif day == 60:
            monitor.window(
                measured(rng, moved={"obrat": 0.41, "loanamt": 0.33, "hrat": 0.24}, answers=0.012, **label(day)), **late
            )
        elif day == 66:
            monitor.window(
                measured(
                    rng,
                    moved={"obrat": 0.61, "loanamt": 0.43, "hrat": 0.27, "appinc": 0.12},
                    answers=0.19,
                    **label(day),
                ),
                **late,
            )
            monitor.release("1.1.0", "e1" * 32)
        elif day in (82, 83, 84):
            monitor.targets = [Target("1.0.0", evidence, {"parity difference": (0.081, 0.262)})]
            monitor.window(measured(rng, parity={"race": 0.27 - (day - 82) * 0.01}))
            if day == 84:
                at = monitor.until + timedelta(minutes=4)
                data = {"version": "1.0.0", "evidence": evidence, "from": "1.1.0"}
                office.ledger.append("rollback", "loan", data, actor="pipeline", key=f"rollback:{at}", at=at)
        else:
            monitor.window(
                measured(rng, rows=900 + rng.randrange(200), **label(day)), rows=900 + rng.randrange(200), **late
            )
    return monitor
