"""Run the contract on the snapshot; quarantine what breaks it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from governance.canonical import digest_of_bytes
from governance.data.contracts import ContractResult, ExpectationResult, run_contract
from governance.data.snapshots import Snapshot
from governance.errors import RefusedError
from governance.ledger.log import Entry
from governance.pipeline import datasets, facets
from governance.pipeline.ingest import rows_of, snapshot_of
from governance.pipeline.run import Message, Run, Step
from governance.records import Lineage
from governance.training import tracking

if TYPE_CHECKING:
    import pandas as pd

PAGE = "quarantine.html"
"""The page's name in MLflow, where each has a run of its own."""


def validate(run: Run) -> Step:
    """Run the contract of the model on this run's snapshot.

    A breach quarantines the snapshot for this contract: no later step of this run accepts it. What failed stands in
    a page that a person can read, with protected columns masked: in MLflow, where a reader without a shell can open
    it, and on this machine's disk.
    """
    frozen = snapshot_of(run)
    contract = digest_of_bytes(run.spec.contract.read_bytes())
    key = run.key("validation", snapshot=frozen.digest, contract=contract)
    entry = run.ledger.get(key) or _validate(run, frozen, key)
    if entry.data["success"]:
        met = entry.data["expectations"] - len(entry.data["warnings"])
        lineage = _lineage(run, frozen, entry, f"{met} of {entry.data['expectations']} expectations met.")
        return Step({"expectations": entry.data["expectations"], "failed": 0}, lineage)
    sentence = _breach(run, entry)
    told = Message(f"contract:{key}", "blocked", sentence, f"/dags/govern_{run.model}/runs/{run.run_id}")
    return Step({}, _lineage(run, frozen, entry, f"In quarantine. {sentence}"), [told], failed=sentence)


def validation_of(run: Run, frozen: Snapshot) -> Entry:
    """Return the passed validation of a snapshot against the contract in force.

    Raises:
        RefusedError: The snapshot is in quarantine.
    """
    contract = digest_of_bytes(run.spec.contract.read_bytes())
    entry = run.need("validation", snapshot=frozen.digest, contract=contract)
    if not entry.data["success"]:
        raise RefusedError(f"Snapshot {frozen.digest[:16]} is in quarantine: it breaks the contract of {run.model}.")
    return entry


def whole(frozen: Snapshot) -> "pd.DataFrame":
    """Return a snapshot with both of its parts side by side, verified."""
    return rows_of(frozen).join([rows_of(frozen, part) for part in frozen.parts if part != "data"])


def _validate(run: Run, frozen: Snapshot, key: str) -> Entry:
    frame = whole(frozen)
    result = run_contract(frame, run.spec.contract)
    breaches = [one.sentence for one in result.expectations if not one.success and one.severity == "critical"]
    data = {
        "snapshot": frozen.digest,
        "contract": result.digest,
        "success": result.success,
        "expectations": len(result.expectations),
        "breaches": breaches,
        "warnings": [one.sentence for one in result.expectations if not one.success and one.severity != "critical"],
        "rows": result.rows,
        "assertions": [_assertion(one) for one in result.expectations],
        "nulls": {str(name): int(count) for name, count in frame.isna().sum().items()},
        **(_quarantined(run, frozen, result) if not result.success else {"page": None}),
    }
    return run.record("validation", data, key)


def _assertion(result: ExpectationResult) -> dict[str, object]:
    """Return what came of an expectation, in OpenLineage's words."""
    column = {} if result.column is None else {"column": result.column}
    severity = "error" if result.severity == "critical" else "warn"
    return {"assertion": result.type, **column, "success": result.success, "severity": severity}


def _quarantined(run: Run, frozen: Snapshot, result: ContractResult) -> dict[str, str]:
    """Put the page where people can open it, and return where: its address in MLflow, and the file here.

    MLflow comes first. Where it does not answer, nothing was left anywhere, and the task is tried again.
    """
    page = _page(run, frozen, result)
    address = tracking.keep_page(
        run.settings.require("mlflow_url"),
        model=run.model,
        key=f"quarantine:{frozen.digest}:{result.digest}",
        title=f"Quarantine {frozen.digest[:12]}",
        path=PAGE,
        page=page,
    )
    # By both digests: another contract on the same snapshot leaves the page that an older entry names.
    file = run.settings.state / "quarantine" / run.model / f"{frozen.digest[:16]}-{result.digest[:16]}.html"
    _write_once(file, page)
    return {"page": address, "file": str(file)}


def _page(run: Run, frozen: Snapshot, result: ContractResult) -> bytes:
    from governance.reports import quarantine

    return quarantine.render(
        result,
        title=run.spec.title,
        hidden=run.spec.apart_columns,
        meanings={**run.spec.features, **run.spec.leaks},
        snapshot=frozen.digest,
    ).encode()


def _write_once(path: Path, body: bytes) -> None:
    """Write a file that only this user reads, whole or not at all, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(body)
    Path(file.name).replace(path)


def _breach(run: Run, entry: Entry) -> str:
    breaches = entry.data["breaches"]
    # The address ends it, without a full stop: people open it with a click or a copied line.
    return (
        f"The data break the contract of {run.model}: {breaches[0]}. {len(breaches)} in all. "
        f"The failing rows, masked: {entry.data['page']}"
    )


def _lineage(run: Run, frozen: Snapshot, entry: Entry, said: str) -> Lineage:
    contract = entry.data["contract"]
    names, protected = facets.apart(run.spec, frozen)
    found = facets.quality(entry, names, whole=True)
    read = [datasets.snapshot_named(run.model, frozen.digest, **found)]
    read += datasets.protected_part(run.model, frozen, **facets.quality(entry, protected, whole=False))
    return Lineage(
        [*read, datasets.contract(run.model, contract)],
        [datasets.validation(run.model, frozen.digest, contract, said)],
    )
