"""The JSON API of what is watched: all models, one model's history, one window; the same as the pages show.

Numbers come as they were recorded, not rounded. What was not measured is absent or ``null``, with its reason where the
record has one.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from governance.monitoring.decision import ANSWERS, LOSS_RISE, PARITY, SHARE
from governance.records import Measurement
from governance.review.desk import ReviewDesk
from governance_airflow.web import monitoring, monitoring_day, monitoring_history, monitoring_page, services
from governance_airflow.web.monitoring_history import History, Watched, Window
from governance_airflow.web.problems import PROBLEMS
from governance_airflow.web.security import LOGGED_IN

IN_HISTORY = (SHARE, ANSWERS, LOSS_RISE, PARITY)
"""What the history holds of each window; a single window has every measurement."""


class WatchedOut(BaseModel):
    """The last word on one model."""

    model: str
    serves: str | None = Field(description="Version that serves now.")
    state: str
    somebody_must_look: str = Field(description="Why; empty where nobody must.")
    decided_until: datetime | None = Field(description="Where its last window ended.")
    action: str | None
    headline: str
    share_drifted: list[float | None] = Field(description="Of the last windows, oldest first.")


class DecidedOut(BaseModel):
    """What was decided of a window."""

    action: str
    rule: str
    because: list[str]
    breaches: dict[str, bool]
    flagged: list[str]
    target: dict[str, Any] | None
    tell: bool


class WindowOut(BaseModel):
    """One window: its decision, and the measurements that are held against limits."""

    entry: int = Field(description="Number of the decision in the ledger.")
    since: datetime
    until: datetime
    as_of: datetime
    version: str | None
    evidence: str | None = Field(description="Of the champion.")
    policy: str = Field(description="Digest of the policy that decided.")
    dry_run: bool
    decision: DecidedOut
    rows: int
    labelled: int
    signed_parity: dict[str, float]
    measurements: list[dict[str, Any]]


class DayOut(WindowOut):
    """One window with everything that was measured of it."""

    decided_at: datetime
    unmatched: int
    by_version: dict[str, int]
    faults: list[str]
    warnings: list[str]
    reference: str
    features: list[dict[str, Any]] = Field(description="The farthest first: column, psi, ks, p_value and others.")
    report: dict[str, Any] | None = Field(
        description="Where Evidently's report is kept and what it is made of: a second opinion, which decides nothing."
    )
    shapes: list[dict[str, Any]] = Field(
        description="Rows by bin, of reference and window: a bin is [low, high, reference, window], or [value, …] of "
        "text (null: all others together). What the model says has the column ''."
    )


class ChangeOut(BaseModel):
    """A release or a roll back."""

    kind: str
    at: datetime
    version: str | None
    entry: int


class HistoryOut(BaseModel):
    """A model's last windows."""

    model: str
    serves: str | None
    limits: dict[str, Any] | None = Field(description="Of the policy in force.")
    policy: str = Field(description="Digest of the policy in force.")
    windows: list[WindowOut] = Field(description="Oldest first.")
    changes: list[ChangeOut]


router = APIRouter(prefix="/api/monitoring", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["monitoring"])


@router.get("")
def list_watched(request: Request) -> list[WatchedOut]:
    """Return the last word on every model, the worst first."""
    now = datetime.now(UTC)
    return [_watched(one, now) for one in monitoring_page.worst_first(monitoring.last_words(request), now)]


@router.get("/{model}")
def get_history(
    request: Request,
    model: str,
    last: Annotated[int, Query(ge=1, le=monitoring_history.WINDOWS, description="How many windows.")] = (
        monitoring_history.WINDOWS
    ),
) -> HistoryOut:
    """Return a model's history: decisions, measurements and limits, releases and roll backs."""
    found = monitoring_history.history_of(services.of(request).open_desk(), model)
    return HistoryOut(
        model=model,
        serves=found.serves.release.data["version"] if found.serves else None,
        limits=found.limits.model_dump() if found.limits else None,
        policy=found.policy,
        windows=[WindowOut(**_window(found, one)) for one in found.windows[-last:]],
        changes=_changes(found),
    )


@router.get("/{model}/{entry}")
def get_day(request: Request, model: str, entry: int) -> DayOut:
    """Return one window by the number of its decision in the ledger, with every measurement."""
    desk = services.of(request).open_desk()
    window = monitoring_history.day_of(desk, model, entry)
    found = monitoring_history.history_of(desk, model)
    seen = window.seen.data if window.seen else {}
    features = [
        {"column": name, **{kind: one.to_dict() for kind, one in of.items()}}
        for name, of in monitoring_day.features_of(window)
    ]
    whole = {**_window(found, window), "measurements": [one.to_dict() for one in window.measured]}
    return DayOut(
        **whole,
        decided_at=window.decided.at,
        unmatched=int(seen.get("unmatched") or 0),
        by_version=seen.get("by_version") or {},
        faults=seen.get("faults") or [],
        warnings=seen.get("warnings") or [],
        reference=window.watched.data["reference"] if window.watched else "",
        features=features,
        report=_report(desk, window),
        shapes=[one.to_dict() for one in window.shapes.values()],
    )


def _report(desk: ReviewDesk, window: Window) -> dict[str, Any] | None:
    found = monitoring_history.report_of(desk.ledger, window)
    return {name: found[name] for name in ("page", "rows", "sampled", "seed", "left_out")} if found else None


def _watched(one: Watched, now: datetime) -> WatchedOut:
    state, last = monitoring_page.state_of(one, now), one.last
    return WatchedOut(
        model=one.model,
        serves=one.version,
        state=state.word,
        somebody_must_look=state.look,
        decided_until=last.until if last else None,
        action=last.action if last else None,
        headline=last.because if last else "",
        share_drifted=[window.share for window in one.windows],
    )


def _window(found: History, window: Window) -> dict[str, Any]:
    data = window.decided.data
    kept = [Measurement.from_dict(one) for one in (window.watched.data["measurements"] if window.watched else [])
            if one["name"] in IN_HISTORY]  # fmt: skip
    return {
        "entry": window.decided.seq,
        **{name: data[name] for name in ("since", "until", "as_of", "version", "policy", "dry_run")},
        "evidence": data["champion"],
        "decision": DecidedOut(**data["decision"]),
        "rows": window.counted("rows"),
        "labelled": window.counted("labelled"),
        "signed_parity": dict(found.signed.get(window.champion or "", {})),
        "measurements": [one.to_dict() for one in kept],
    }


def _changes(found: History) -> list[ChangeOut]:
    released = [
        ChangeOut(kind="serves", at=term.since, version=term.release.data["version"], entry=term.release.seq)
        for term in found.terms
        if term.release.kind != "rollback"
    ]
    back = [
        ChangeOut(kind="rollback", at=entry.at, version=entry.data.get("version"), entry=entry.seq)
        for entry in found.rollbacks
    ]
    return sorted([*released, *back], key=lambda one: (one.at, one.entry))
