"""The window: what production saw, frozen, and held against the contract."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from governance.data import snapshots
from governance.data.contracts import feature_types
from governance.data.erasures import as_it_is
from governance.data.snapshots import Snapshot
from governance.errors import InputError, TamperedError
from governance.ledger.log import Entry, Ledger
from governance.monitoring import gone
from governance.monitoring.contract import Signed, hold, signed_contract
from governance.monitoring.watch import WINDOW, Watch
from governance.pipeline import datasets, facets
from governance.pipeline.run import Step
from governance.predictions.reading import Logged, read_window
from governance.records import Dataset, Lineage

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

AT, REQUEST, ROW = "_at", "_request", "_row"
FAULTS_TOLD = 20
LONGEST_WAIT = 120
"""Seconds."""

PREDICTION, LABEL, SCORE = "_prediction", "_label", "_score"
DELAY, MINE = "_delay", "_mine"
"""Columns of a frozen window beside the features; a feature's name never begins so."""


def collect(watch: Watch) -> Step:
    """Take the window from the prediction log, freeze it, and run the contract on it.

    A window belongs to the version that served when it ended, and only what that one answered is frozen. Where a
    release falls into it, the rows of the other version are counted (``by_version``) and judged by nobody: they are no
    window of their own, and what they would say is of a version that serves no more.
    Nothing is frozen where nothing was asked, and nothing is looked at where nothing serves.
    """
    await_cut_off(watch.as_of)  # first of all: until then, another version may begin to serve
    if watch.champion is None:
        return Step({}, skipped=f"No version of {watch.model} served when the window ended.")
    entry = watch.entry(WINDOW) or watch.record(WINDOW, _collected(watch))
    data = entry.data
    said = {name: data[name] for name in ("rows", "labelled", "by_version")}
    frozen = Snapshot.from_dict(data["snapshot"]) if data["snapshot"] else None
    return Step({**said, "faults": data["faults"]}, _lineage(watch, frozen))


def _lineage(watch: Watch, frozen: Snapshot | None) -> Lineage:
    version = watch.champion.data["version"] if watch.champion else ""
    read = [datasets.endpoint(watch.model, version), datasets.predictions(watch.model, version)]
    return Lineage(read, [frozen_window(watch, frozen, read[1])] if frozen else [])


def frozen_window(watch: Watch, frozen: Snapshot, source: Dataset) -> Dataset:
    """A window as it is written: the features, and what was answered."""
    spec, features = watch.run.spec, set(watch.features)
    columns = [one for one in facets.columns_of(spec, frozen) if one["name"] in features | {PREDICTION}]
    kept = facets.stored(frozen.parts[snapshots.DATA])
    kept["outputStatistics"]["rowCount"] = frozen.rows
    lineage = facets.same_columns([one["name"] for one in columns if one["name"] in features], [source])
    answered = facets.made_of(PREDICTION, ["prediction"], source, "the answer as it was logged")
    lineage["columnLineage"]["fields"] |= answered["columnLineage"]["fields"]
    said = f"What production saw from {watch.since:%Y-%m-%d %H:%M} to {watch.until:%Y-%m-%d %H:%M} UTC, frozen."
    known = {**facets.described(spec, said), **facets.schema(columns), **kept, **lineage}
    return datasets.window(watch.model, frozen.digest, **known)


def await_cut_off(as_of: datetime) -> None:
    """Wait until the cut-off has passed, for what arrives before it is part of the window.

    Raises:
        InputError: It is further away than a monitor waits.
    """
    left = (as_of - datetime.now(UTC)).total_seconds()
    if left > LONGEST_WAIT:
        raise InputError(
            f"Expected a cut-off at most {LONGEST_WAIT} s ahead, found {as_of:%d %b %Y %H:%M:%S} UTC. "
            f"A window is looked at when it is over."
        )
    if left > 0:
        time.sleep(left)  # bounded above; nothing can be asked whether the last record has arrived


def window_of(ledger: Ledger, entry: Entry) -> "pd.DataFrame":
    """Return the frozen rows of a window, verified: features, answers, labels, protected columns.

    Raises:
        TamperedError: They are not what was frozen.
        InputError: They were let go.
    """
    with _or_let_go(ledger, entry):
        return as_it_is(ledger, entry.subject, entry.data["snapshot"], _whole)


def _whole(frozen: Snapshot) -> "pd.DataFrame":
    frame = snapshots.load(frozen, snapshots.DATA)
    return frame.join(snapshots.load(frozen, snapshots.PROTECTED)) if snapshots.PROTECTED in frozen.parts else frame


@contextlib.contextmanager
def _or_let_go(ledger: Ledger, entry: Entry) -> Iterator[None]:
    """Say of rows that are not there when and by which rule they went, where that is why."""
    try:
        yield
    except TamperedError:
        gone.expect_kept(ledger, entry)
        raise


def scores_of(frame: "pd.DataFrame") -> Any:
    """Return the scores of a frozen window, shape (n) or (n, classes)."""
    names = [str(name) for name in frame.columns if str(name).startswith(SCORE)]
    return frame[SCORE].to_numpy() if names == [SCORE] else frame.loc[:, sorted(names, key=_number)].to_numpy()


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _collected(watch: Watch) -> Json:
    dsn = watch.run.settings.require("ledger_url")
    logged = read_window(dsn, watch.model, watch.since, watch.until, watch.as_of)
    by_version = {str(name): int(n) for name, n in logged.rows["version"].value_counts().sort_index().items()}
    mine = _of_champion(watch, logged)
    with signed_contract(watch) as contract:
        return _frozen(watch, logged, mine, by_version, contract)


def _frozen(watch: Watch, logged: Logged, mine: Any, by_version: Json, contract: Signed) -> Json:
    """Freeze what the champion answered, and hold it against the contract that was signed with it."""
    frame = _frame(logged, mine, feature_types(contract.path, watch.features))
    counted = {"rows": len(frame), "by_version": by_version, "unmatched": int(logged.unmatched)}
    counted |= {"labelled": int(frame[LABEL].notna().sum()) if len(frame) else 0}
    counted |= {"champion": watch.champion.data["evidence"] if watch.champion else None}
    counted |= {"refused": _refused(watch, logged, mine), "arrived": _arrived(watch, logged)}
    counted |= {"contract": {"signed": contract.digest, "in_force": contract.in_force}}
    if not len(frame):
        return {**counted, "snapshot": None, "faults": [], "warnings": [], "page": None}
    protected = [name for name in logged.protected.columns if name in frame.columns]
    frozen = snapshots.freeze(
        frame,
        model=f"{watch.model}.windows",
        root=watch.run.settings.snapshots,
        protected_columns=protected,
        subject=REQUEST if watch.run.spec.data.subject else None,  # who asked, the log knows by nothing else
    )
    held = hold(watch, contract, frame, frozen.digest)
    return {**counted, "snapshot": frozen.to_dict(), **held.__dict__}


def arrived_of(ledger: Ledger, entry: Entry) -> "pd.DataFrame | None":
    """Return the labels that arrived in a window, verified; ``None`` where none did.

    Returns:
        Seconds since the answer (``_delay``), whether the champion gave it (``_mine``), the answer, the label, scores.

    Raises:
        TamperedError: They are not what was frozen.
        InputError: They were let go.
    """
    document = entry.data.get("arrived")
    with _or_let_go(ledger, entry):
        return snapshots.load(Snapshot.from_dict(document), snapshots.DATA) if document else None


def _arrived(watch: Watch, logged: Logged) -> Json | None:
    """Freeze the labels that arrived in the window, of whatever was answered when."""
    frame, evidence = logged.arrived, watch.champion.data["evidence"] if watch.champion else None
    if not len(frame):
        return None
    columns = {DELAY: frame["delay"], MINE: frame["evidence"] == evidence}
    columns |= {f"_{name}": frame[name] for name in frame.columns if name not in ("delay", "evidence")}
    plain = frame.assign(**columns)[list(columns)]
    return snapshots.freeze(plain, model=f"{watch.model}.labels", root=watch.run.settings.snapshots).to_dict()


def _refused(watch: Watch, logged: Logged, mine: Any) -> Json:
    """Return how many requests the champion answered, how many it refused for their content, and why."""
    evidence = watch.champion.data["evidence"] if watch.champion else None
    theirs = [one for one in logged.refused if one.evidence == evidence]
    return {
        "answered": int(logged.rows.loc[mine, "request_id"].nunique()),
        "requests": sum(one.requests for one in theirs),
        "rows": sum(one.rows for one in theirs),
        "by": [{"fault": one.fault, "feature": one.feature, "requests": one.requests} for one in theirs[:FAULTS_TOLD]],
    }


def _of_champion(watch: Watch, logged: Logged) -> Any:
    if watch.champion is None:
        return logged.rows.index[:0]
    return logged.rows.index[logged.rows["evidence"] == watch.champion.data["evidence"]]


def _frame(logged: Logged, mine: Any, types: Mapping[str, str]) -> "pd.DataFrame":
    rows = logged.rows.loc[mine]
    answers = {AT: rows["at"], REQUEST: rows["request_id"], ROW: rows["row"], PREDICTION: rows["prediction"]}
    answers |= {f"_{name}": rows[name] for name in rows.columns if name == "score" or name.startswith("score_")}
    protected = logged.protected.loc[mine].dropna(axis="columns", how="all")
    features = logged.features.loc[mine, [name for name in types if name in logged.features]].copy()
    for name in features.columns:  # one by one, not by `assign`: a feature may be called `self`
        features[name] = _typed(features[name], types[name])
    told: Any = features.assign(**answers, **{LABEL: logged.labels.loc[mine]})
    frame: pd.DataFrame = told.join(protected).reset_index(drop=True)
    return frame


def _typed(values: Any, kind: str) -> Any:
    """Return values as the type that the contract names: a request's JSON knows one kind of number only.

    What does not fit its type stays as it is, and the contract says so.
    """
    import pandas as pd

    with contextlib.suppress(ValueError, TypeError):
        if kind == "timestamp":
            return pd.to_datetime(values, utc=True)
        if kind == "float64":
            return values.astype("float64")
        if kind in ("int64", "bool") and values.notna().all():
            typed = values.astype(kind)
            return typed if (typed == values).all() else values
        if kind == "int64":
            return values.astype("float64")
    return values
