"""Run the contract on the snapshot; quarantine what breaks it."""

from pathlib import Path
from typing import TYPE_CHECKING

from governance.canonical import digest_of_bytes
from governance.data import snapshots
from governance.data.contracts import ContractResult, run_contract
from governance.data.snapshots import Snapshot
from governance.errors import RefusedError
from governance.ledger.log import Entry
from governance.pipeline import datasets
from governance.pipeline.ingest import snapshot_of
from governance.pipeline.run import Message, Run, Step
from governance.records import Lineage

if TYPE_CHECKING:
    import pandas as pd


def validate(run: Run) -> Step:
    """Run the contract of the model on this run's snapshot.

    A breach quarantines the snapshot for this contract: no later step of this run accepts it. What failed stands in
    a page that a person can read, with the failing rows masked.
    """
    frozen = snapshot_of(run)
    contract = digest_of_bytes(run.spec.contract.read_bytes())
    key = run.key("validation", snapshot=frozen.digest, contract=contract)
    entry = run.ledger.get(key) or _validate(run, frozen, key)
    lineage = Lineage([datasets.snapshot_named(run.model, frozen.digest), datasets.contract(run.model, contract)])
    if entry.data["success"]:
        return Step({"expectations": entry.data["expectations"], "failed": 0}, lineage)
    page = entry.data["page"]
    first = entry.data["breaches"][0]
    sentence = f"The data break the contract of {run.model}: {first}. {len(entry.data['breaches'])} in all; see {page}."
    told = Message(f"contract:{key}", "blocked", sentence, f"/dags/govern_{run.model}/runs/{run.run_id}")
    return Step({}, lineage, [told], failed=sentence)


def validation_of(run: Run, frozen: Snapshot) -> Entry:
    """Return the passed validation of a snapshot.

    Raises:
        RefusedError: The snapshot is in quarantine.
    """
    entry = run.need("validation", snapshot=frozen.digest)
    if not entry.data["success"]:
        raise RefusedError(f"Snapshot {frozen.digest[:16]} is in quarantine: it breaks the contract of {run.model}.")
    return entry


def whole(frozen: Snapshot) -> "pd.DataFrame":
    """Return a snapshot with both of its parts side by side, verified."""
    return snapshots.load(frozen, "data").join(
        [snapshots.load(frozen, part) for part in frozen.parts if part != "data"]
    )


def _validate(run: Run, frozen: Snapshot, key: str) -> Entry:
    result = run_contract(whole(frozen), run.spec.contract)
    breaches = [one.sentence for one in result.expectations if not one.success and one.severity == "critical"]
    data = {
        "snapshot": frozen.digest,
        "contract": result.digest,
        "success": result.success,
        "expectations": len(result.expectations),
        "breaches": breaches,
        "warnings": [one.sentence for one in result.expectations if not one.success and one.severity != "critical"],
        "page": str(_page(run, frozen, result)) if not result.success else None,
    }
    return run.record("validation", data, key)


def _page(run: Run, frozen: Snapshot, result: ContractResult) -> Path:
    from governance.reports import quarantine

    folder = run.settings.state / "quarantine" / run.model
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    page = folder / f"{frozen.digest[:16]}.html"
    rendered = quarantine.render(
        result,
        title=run.spec.title,
        hidden=run.spec.protected_columns,
        meanings={**run.spec.features, **run.spec.leaks},
        snapshot=frozen.digest,
    )
    page.write_text(rendered)
    return page
