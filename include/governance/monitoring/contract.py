"""The contract that a window is held against: the one that was signed with the version that serves.

It travels with the version (:mod:`governance.release.bundle`), and the scoring service checks requests by it. The
checkout's may be another one since: a commit changes nothing that serves, so it decides nothing about it either. Where
they differ, the decision says so.

What a window breaks is told in sentences without a value of a row. The rows themselves, masked, stand in a page in
MLflow like that of a release whose data are in quarantine, for whoever has to mend the source.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.canonical import digest_of_bytes
from governance.data.contracts import CRITICAL, ContractResult, ExpectationResult
from governance.errors import TamperedError
from governance.ledger.log import Entry
from governance.measures.intervals import wilson
from governance.monitoring.watch import WINDOW, Watch
from governance.release.bundle import CONTRACT
from governance.release.registry import Registry
from governance.training import tracking

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

PAGE = "quarantine.html"


@dataclass(frozen=True)
class Signed:
    """The contract that was signed.

    Attributes:
        path: Its file, as long as it is needed.
        digest: Its SHA-256, which the evidence names.
        in_force: SHA-256 of the checkout's.
    """

    path: Path
    digest: str
    in_force: str


@dataclass(frozen=True)
class Held:
    """What came of holding a window against a contract.

    Attributes:
        faults: Critical demands that it breaks by more than chance, in sentences.
        warnings: The others.
        page: Where the failing rows are shown, masked; ``None`` where there are no faults.
    """

    faults: list[str]
    warnings: list[str]
    page: str | None


@contextmanager
def signed_contract(watch: Watch) -> Iterator[Signed]:
    """Provide the contract that was signed with what served: the checkout's where it is still that, else MLflow's.

    Raises:
        TamperedError: MLflow's is not the one that was signed.
        NotPermittedError: The version's files are gone.
        UnavailableError: MLflow does not answer.
    """
    here = watch.run.spec.contract
    in_force = digest_of_bytes(here.read_bytes())
    digest = watch.evidence["data"]["contract"]["digest"] if watch.evidence else in_force
    if digest == in_force or watch.champion is None:
        yield Signed(here, in_force, in_force)
        return
    registry = Registry(watch.run.settings.require("mlflow_url"))
    body = registry.permit_file(watch.model, watch.champion.data["registry_version"], CONTRACT)
    if digest_of_bytes(body) != digest:
        raise TamperedError(
            f"{CONTRACT} of {watch.model} {watch.champion.data['version']} in MLflow: expected SHA-256 {digest[:16]}…, "
            f"which was signed, found {digest_of_bytes(body)[:16]}…. Restore the file; nothing was decided."
        )
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        path = Path(folder) / CONTRACT
        path.write_bytes(body)
        yield Signed(path, digest, in_force)


def differs(window: Entry, version: str | None) -> str:
    """Say that a window was held against another contract than the checkout's; nothing where it was not."""
    said = window.data.get("contract")
    if not said or said["signed"] == said["in_force"]:
        return ""
    return (
        f"The contract is the one that was signed with {version} ({said['signed'][:12]}); the checkout has another one "
        f"since ({said['in_force'][:12]}), which holds once a version is signed with it."
    )


def hold(watch: Watch, contract: Signed, frame: "pd.DataFrame", digest: str) -> Held:
    """Hold the features of a window against what the contract demands of values; keep the page where it breaks them.

    Demands on the table (how many rows, which columns) and on its middle (means, medians) are of a delivery of training
    data; a window is smaller, and its middle is what drift measures.

    Args:
        watch: The window.
        contract: The contract.
        frame: The window's rows, as they are frozen.
        digest: Digest of the frozen window.

    Raises:
        UnavailableError: MLflow does not take the page; nothing was recorded, and trying again completes it.
    """
    from governance.data.contracts import run_contract

    features = frame[[name for name in watch.features if name in frame.columns]]
    result = without_chance(run_contract(features, contract.path, values_of=watch.features), features)
    faults = [one.sentence for one in result.unmet() if one.severity == CRITICAL]
    warnings = [one.sentence for one in result.unmet() if one.severity != CRITICAL]
    return Held(faults, warnings, _kept(watch, result, digest) if faults else None)


def without_chance(result: ContractResult, features: "pd.DataFrame") -> ContractResult:
    """Return what came of a contract, with what may be chance in so small a window taken for met."""
    unmet = [place for place, one in enumerate(result.expectations)
             if not one.success and not may_be_chance(one, features)]  # fmt: skip
    met = tuple(one if place in unmet else replace(one, success=True) for place, one in enumerate(result.expectations))
    rows = result.failing_rows
    if len(rows):
        rows = rows[rows.index.get_level_values("expectation").isin(unmet)]
    blocked = any(one.blocks for one in met)
    return replace(result, success=not blocked, expectations=met, failing_rows=rows)


def may_be_chance(result: ExpectationResult, features: "pd.DataFrame") -> bool:
    """Say whether a share of rows may be beyond what is tolerated only because the window is small.

    Formula: the tolerated share lies within Wilson's interval of the share that was found. What holds for every row, or
    does not, is never chance.
    """
    if result.tolerated is None or result.column not in features:
        return False
    rows = len(features)
    if result.unexpected_count is not None:
        low, _ = wilson(result.unexpected_count, rows)
        return low <= result.tolerated[1]
    low, high = wilson(int(features[result.column].isna().sum()), rows)
    return low <= result.tolerated[1] and high >= result.tolerated[0]


def _kept(watch: Watch, result: ContractResult, digest: str) -> str:
    """Keep the page of failing rows in MLflow, and return its address."""
    from governance.reports import quarantine

    spec = watch.run.spec
    page = quarantine.render(
        result,
        title=spec.title,
        hidden=spec.protected_columns,
        personal=spec.data.personal,
        meanings={**spec.features, **spec.leaks},
        snapshot=digest,
        window=f"{watch.since:%d %b %Y %H:%M} to {watch.until:%d %b %Y %H:%M} ({watch.until:%Z})",
    )
    return tracking.keep_page(
        watch.run.settings.require("mlflow_url"),
        model=f"{watch.model}-monitoring",
        key=f"quarantine:{watch.key(WINDOW)}",
        title=f"Data fault {watch.until:%Y-%m-%d %H:%M}",
        path=PAGE,
        page=page.encode(),
    )
