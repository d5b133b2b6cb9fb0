"""Let go of what every policy allows to go: predictions, and the windows that were frozen of them.

Predictions, labels and protected values go from the database (:mod:`governance.predictions.retention`). The frozen rows
of windows hold the same, protected part included, and Evidently's report and the page of failing rows show some of
them: all of these go by the same rule, `predictions:` of the policy.

Delta's log stays, for the windows after it name it, and so does every entry of the ledger
(:mod:`governance.monitoring.gone`). Killed in between, the last stretch is gone through again the next time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from governance.catalog import model_folders
from governance.data import snapshots
from governance.data.erasures import as_kept
from governance.data.snapshots import Snapshot
from governance.ledger.log import Entry, Ledger
from governance.monitoring.gone import LET_GO
from governance.monitoring.watch import REPORT, WINDOW
from governance.policy import load_policy
from governance.predictions.retention import DEFAULT_DAYS, Retention, Retired, check, retain
from governance.settings import Settings
from governance.training import tracking

Json = dict[str, Any]

AT_ONCE = 100
"""Windows that are read at a time."""

ACTOR = "retention"


@dataclass(frozen=True)
class Gone:
    """What went.

    Attributes:
        segments: Segments of predictions whose rows are gone.
        days: Days of predictions that were dropped as a whole.
        windows: Frozen windows that are recorded as let go.
        files: Files of frozen windows and of their labels that were deleted.
        pages: Pages of theirs that were deleted in MLflow.
    """

    segments: int
    days: int
    windows: int = 0
    files: int = 0
    pages: int = 0


@dataclass(frozen=True)
class Rule:
    """How long one model's windows stay, and by which policy."""

    retention: Retention
    policy: str | None


def kept(settings: Settings) -> dict[str, Retention]:
    """Return how long each governed model's predictions stay, by its policy.

    Raises:
        FaultyFileError: A policy cannot be read: nothing may go while it is not known what must stay.
        RefusedError: A policy keeps less than a regulation asks for.
    """
    return {model: rule.retention for model, rule in _rules(settings).items()}


def let_go(settings: Settings) -> Gone:
    """Let go of what is older than its model's policy keeps; of models without a folder, than the longest floor.

    Raises:
        FaultyFileError: As :func:`kept`; nothing was let go.
        RefusedError: As :func:`kept`; nothing was let go.
        UnavailableError: The database, the snapshots' storage or MLflow does not answer. What is recorded as let go and
            is still there goes the next time.
    """
    stays = kept(settings)  # first: nothing goes while a policy cannot be read
    retired: Retired = retain(settings.require("ledger_url"), stays)
    return Gone(retired.segments, retired.days, *let_go_windows(settings, datetime.now(UTC)))


def let_go_windows(settings: Settings, now: datetime) -> tuple[int, int, int]:
    """Let go of frozen windows alone; return how many, and how many of their files and pages went.

    Args:
        settings: Where things are.
        now: From when days are counted back.

    Raises:
        FaultyFileError: As :func:`let_go`, and so are the others.
    """
    rules, ledger = _rules(settings), Ledger(settings.require("ledger_url"))
    longest = Rule(Retention(DEFAULT_DAYS), None)
    try:
        found = [_windows(settings, ledger, model, rules.get(model, longest), now) for model in ledger.subjects(WINDOW)]
    finally:
        ledger.close()
    windows, files, pages = (sum(one[place] for one in found) for place in range(3))
    return windows, files, pages


def _rules(settings: Settings) -> dict[str, Rule]:
    found = {}
    for folder in model_folders(settings):
        policy = load_policy(folder, settings.policies)
        said = policy.predictions
        found[folder.name] = Rule(Retention(said.days, tuple(said.regulations)), policy.digest)
        check(folder.name, found[folder.name].retention)
    return found


def _windows(settings: Settings, ledger: Ledger, model: str, rule: Rule, now: datetime) -> tuple[int, int, int]:
    """Let go of a model's old windows; return how many, and how many files and pages went."""
    before = now - timedelta(days=rule.retention.days)
    last = next(ledger.backwards(LET_GO, model), None)
    again = list(_between(ledger, model, last.data["after"], last.data["through"])) if last else []
    old = list(_older(ledger, model, last.data["through"] if last else 0, before))
    if old:
        _record(ledger, model, rule, before, last.data["through"] if last else 0, old)
    files, pages, going = 0, 0, [*again, *old]

    def is_needed(path: str) -> bool:
        """Whether a window that stays has the same content, and so the same file."""
        return ledger.says(WINDOW, model, path, after=going[-1].seq)

    for window in going:
        files += sum(snapshots.let_go(one, is_needed) for one in _frozen(ledger, window))
        pages += sum(_page_let_go(settings, page) for page in _pages(ledger, window))
    return len(old), files, pages


def _record(ledger: Ledger, model: str, rule: Rule, before: datetime, after: int, old: list[Entry]) -> Entry:
    data = {
        "before": before.isoformat(),
        "days": rule.retention.days,
        "regulations": list(rule.retention.regulations),
        "policy": rule.policy,
        "windows": len(old),
        "after": after,
        "through": old[-1].seq,
    }
    return ledger.append(LET_GO, model, data, actor=ACTOR, key=f"{LET_GO}:{model}:{old[-1].seq}")


def _older(ledger: Ledger, model: str, after: int, before: datetime) -> Iterator[Entry]:
    """Yield the windows that follow an entry and were entered, and so ended, before a moment; oldest first."""
    while page := ledger.find(WINDOW, model, after=after, limit=AT_ONCE):
        for entry in page:
            if entry.at >= before:
                return
            yield entry
        after = page[-1].seq


def _between(ledger: Ledger, model: str, after: int, through: int) -> Iterator[Entry]:
    while page := ledger.find(WINDOW, model, after=after, limit=AT_ONCE):
        for entry in page:
            if entry.seq > through:
                return
            yield entry
        after = page[-1].seq


def _frozen(ledger: Ledger, window: Entry) -> Iterator[Snapshot]:
    for document in (window.data["snapshot"], window.data.get("arrived")):
        if document:
            yield as_kept(ledger, window.subject, document)


def _pages(ledger: Ledger, window: Entry) -> Iterator[str]:
    report = ledger.get(window.key.replace(f"{WINDOW}:", f"{REPORT}:", 1))
    yield from (page for page in (window.data.get("page"), report.data["page"] if report else None) if page)


def _page_let_go(settings: Settings, page: str) -> bool:
    return tracking.let_go_page(settings.require("mlflow_url"), page)
