"""What the monitoring pages show: all models in a line each, one model's history, and one window, as finished text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from governance.monitoring.decision import ANSWERS, LOSS_RISE, PARITY, SHARE
from governance.policyfile import Monitoring
from governance.records import Measurement
from governance.reports import timeline, words
from governance.reports.timeline import Bars, Change, Day, Line, Panel, Point
from governance.review.entries import Term
from governance_airflow.web import monitoring_day
from governance_airflow.web.monitoring_history import Brief, History, Watched, Window

RANGES = (30, 90)
"""How many windows the chart may show."""

RAIL = 25
"""Models that stand beside one model's page; the list of all has the others."""

LOGGED = 14
"""Decisions that are listed before one asks for more."""


@dataclass(frozen=True)
class State:
    """A model's state in a word: how bad, how drawn, and whether somebody must look."""

    rank: int
    word: str
    icon: str
    tone: str
    look: str = ""


_BY_ACTION = {
    "call": State(0, "must look", "call", "block", "nothing was done: a person decides"),
    "roll_back": State(0, "roll back", "back", "block", "the incident waits for a review text"),
    "data_fault": State(0, "data fault", "fault", "warn", "nothing is trained on these data"),
    "retrain": State(1, "retrain", "retrain", "link"),
    "silent": State(4, "silent", "na", "muted"),
    "too_few": State(4, "too few rows", "nodata", "muted"),
    "nothing": State(8, "quiet", "nothing", "muted"),
}
_OVERDUE = State(3, "not watched", "wait", "warn")
_INCIDENT = State(0, "incident open", "call", "block", "the incident waits for a review text")
_DRY = "a dry run: nothing was started"


# --- all models ----------------------------------------------------------------------------------------------------


def overview(found: Sequence[Watched], root: str, now: datetime) -> dict[str, Any]:
    """Return what the template of the list of all models needs.

    Args:
        found: The last word on each model.
        root: The path of the application.
        now: The time.
    """
    rows = [_row(one, root, now) for one in worst_first(found, now)]
    looked_at = sum(bool(row["look"]) for row in rows)
    unread = sum(not one.is_read for one in found)
    return {
        "title": "Monitoring",
        "now": words.moment(now),
        "rows": rows,
        "verdict": _verdict(rows, looked_at),
        "filters": [
            ("all", "All", len(rows)),
            ("attention", "Must look", looked_at),
            ("order", "Need nobody", len(rows) - looked_at),
        ],
        "unread": f"Older windows of {words.plural(unread, 'model')} are not read yet; each request reads on."
        if unread
        else "",
    }


def worst_first(found: Sequence[Watched], now: datetime) -> list[Watched]:
    """Return models by how bad they are; of equally bad ones, those that drift most."""
    return sorted(found, key=lambda one: (state_of(one, now).rank, -_drift(one), one.model))


def state_of(one: Watched, now: datetime) -> State:
    """Return a model's state in a word; an incident that nobody has closed is never calm."""
    found = _state_of_windows(one, now)
    return _INCIDENT if one.incidents and found.rank > 0 else found


def _state_of_windows(one: Watched, now: datetime) -> State:
    last = one.last
    if last is None:
        return _without_windows(one)
    state = _BY_ACTION[last.action]
    if state.rank == 0 or last.action == "retrain":
        return replace(state, look=_DRY) if last.dry_run and last.action in ("retrain", "roll_back") else state
    if one.version is None:
        return State(9, "nothing serves", "na", "muted")
    if last.wanting:
        return State(2, f"{_wanting(last.wanting)} watched", "warn", "warn", "people were told" if last.tell else "")
    if is_overdue(last, now):
        return replace(_OVERDUE, look=f"no window has been decided since {_day_of(last.until)}")
    if last.tell:
        return replace(state, rank=state.rank - 1, look="people were told")
    return state


def is_overdue(last: Brief | Window, now: datetime) -> bool:
    """Say whether the next window should have been decided long ago: one more, and a day, have passed."""
    return now - last.until > 2 * (last.until - last.since) + timedelta(days=1)


def _without_windows(one: Watched) -> State:
    if not one.is_read:
        return State(6, "not read yet", "wait", "muted")
    return State(5, "no window yet", "wait", "muted") if one.version else State(9, "nothing serves", "na", "muted")


def _wanting(names: Sequence[str]) -> str:
    kinds = dict.fromkeys("loss" if name == "loss" else "unfairness" for name in names)
    return words.listed(list(kinds))


def _drift(one: Watched) -> float:
    return (one.last.share or 0.0) if one.last else 0.0


def _verdict(rows: Sequence[Mapping[str, Any]], looked_at: int) -> str:
    if not rows:
        return ""
    if not looked_at:
        return f"Nobody must look. {words.plural(len(rows), 'model')}."
    return f"Somebody must look at {looked_at} of {words.plural(len(rows), 'model')}."


def _row(one: Watched, root: str, now: datetime) -> dict[str, Any]:
    state, last = state_of(one, now), one.last
    shares = [window.share for window in one.windows]
    return {
        "name": one.model,
        "href": f"{root}/monitoring/{quote(one.model)}",
        "version": one.version or "",
        "state": state,
        "look": state.look,
        "said": last.because if last else _nothing_said(one),
        "when": _when(last, now) if last else "",
        "dry": bool(last and last.dry_run),
        "share": _two(last.share) if last else words.MISSING,
        "spark": timeline.sparkline(shares, _spark_told(shares)) if last else "",
    }


def _when(last: Brief, now: datetime) -> str:
    ago = f", {words.ago(last.until, now)}" if last.until <= now else ""
    return f"window until {_day_of(last.until)} {last.until:%H:%M}{ago}"


def _nothing_said(one: Watched) -> str:
    if not one.is_read:
        return "Its windows are read by one of the next requests."
    if one.version is None:
        return "Not in production yet: nothing is watched."
    return f"monitor_{one.model} has not looked yet; it does on its schedule, or when it is triggered."


def _spark_told(shares: Sequence[float | None]) -> str:
    known = [share for share in shares if share is not None]
    if not known:
        return "share of drifted features: not measured"
    windows = words.plural(len(shares), "window")
    return f"share of drifted features in {windows}: last {known[-1]:.2f}, at most {max(known):.2f}"


def rail(found: Sequence[Watched], model: str, root: str, now: datetime) -> dict[str, Any]:
    """Return the list of models beside one of them: the worst, and that one."""
    ordered = worst_first(found, now)
    shown = ordered[:RAIL]
    shown += [one for one in ordered[RAIL:] if one.model == model]
    rows = [
        {
            "name": one.model,
            "href": f"{root}/monitoring/{quote(one.model)}",
            "state": state_of(one, now),
            "sub": f"{state_of(one, now).word}{_of_share(one)}",
            "current": one.model == model,
        }
        for one in shown
    ]
    return {"rail": rows, "others": len(ordered) - len(shown)}


def _of_share(one: Watched) -> str:
    return f", {_two(one.last.share)} drifted" if one.last and one.last.share is not None else ""


# --- one model -----------------------------------------------------------------------------------------------------


def history(found: History, chosen: Window | None, places: tuple[str, str], last: int, now: datetime) -> dict[str, Any]:
    """Return what the template of one model needs.

    Args:
        found: The model's history.
        chosen: The window that is shown below the chart; ``None`` where there is none.
        places: The path of the application, and that of Airflow's own pages.
        last: How many windows the chart shows; more where it would leave out the one that is shown.
        now: The time.
    """
    root, airflow = places
    if chosen and chosen.decided.seq not in [window.decided.seq for window in found.windows[-last:]]:
        last = RANGES[-1]
    shown = replace(found, windows=found.windows[-last:])
    place = f"{root}/monitoring/{quote(found.model)}"
    serving = found.serves.release.data["version"] if found.serves else ""
    return {
        "title": f"{found.model} · Monitoring",
        "model": found.model,
        "version": serving,
        "version_href": f"{root}/review/{quote(found.model)}/{quote(serving)}" if serving else "",
        "head": _head(found, now),
        "empty": "" if found.windows else _empty(found, serving),
        "ranges": _ranges(found, chosen, place, last),
        "chart": chart(shown, chosen, place, last),
        "notes": _notes(shown),
        "numbers": _numbers(shown),
        "log": [_logged(found, window, place, last) for window in reversed(found.windows)],
        "logged": LOGGED,
        "day": monitoring_day.day(found, chosen, airflow) if chosen else None,
        "neighbours": _neighbours(found, chosen, place, last),
        "api": f"{root}/api/monitoring/{quote(found.model)}",
    }


def _head(found: History, now: datetime) -> dict[str, Any]:
    if not found.windows:
        return {}
    last = found.windows[-1]
    state = _BY_ACTION[last.action]
    if state.rank > 1 and found.serves and is_overdue(last, now):
        state = _OVERDUE
    return {
        "icon": state.icon,
        "tone": state.tone,
        "word": state.word,
        "when": words.moment(last.until, now),
        "dry": last.decided.data["dry_run"],
        "back": f"rolled back {words.moment(found.rollbacks[-1].at, now)}" if found.rollbacks else "",
    }


def _empty(found: History, serving: str) -> str:
    if not serving:
        return f"Nothing of {found.model} serves: nothing is watched. The first window follows the first release."
    return (
        f"No window of {found.model} {serving} has been decided yet. monitor_{found.model} decides on its schedule "
        f"(model.yaml, monitoring); trigger it to decide now."
    )


def _ranges(found: History, chosen: Window | None, place: str, last: int) -> list[dict[str, Any]]:
    if len(found.windows) <= RANGES[0]:
        return []
    return [{"n": n, "href": _address(place, chosen, n), "current": n == last} for n in RANGES]


def _address(place: str, window: Window | None, last: int) -> str:
    query = f"?last={last}" if last != RANGES[-1] else ""
    return f"{place}{f'/{window.decided.seq}' if window else ''}{query}"


def _neighbours(found: History, chosen: Window | None, place: str, last: int) -> dict[str, str]:
    order = [window.decided.seq for window in found.windows]
    if chosen is None or chosen.decided.seq not in order:
        return {"before": "", "after": ""}
    at = order.index(chosen.decided.seq)
    before = _address(place, found.windows[at - 1], last) + "#day" if at else ""
    after = _address(place, found.windows[at + 1], last) + "#day" if at + 1 < len(order) else ""
    return {"before": before, "after": after}


# --- its chart -----------------------------------------------------------------------------------------------------


def chart(found: History, chosen: Window | None, place: str, last: int) -> str:
    """Return the history as one SVG; empty where there is no window.

    Args:
        found: The windows to draw.
        chosen: Which one is marked.
        place: The address of the model's page.
        last: How many windows the page shows, for the links.
    """
    days = list(_days(found, chosen, place, last))
    panels: list[Panel | Bars] = [
        _share_panel(found),
        _answers_panel(found),
        _loss_panel(found),
        *_parity_panels(found),
        _rows(found),
    ]
    terms = [one for term in found.terms if (one := _term(found, term))]
    axis = "windows by day" if all(_is_long(window) for window in found.windows) else "windows by their end"
    told = (f"{found.model} over time", _finding(found))
    return timeline.timeline(*told, days, terms, list(_changes(found)), panels, axis)


def _days(found: History, chosen: Window | None, place: str, last: int) -> Iterator[Day]:
    before: Window | None = None
    for window in found.windows:
        state = _BY_ACTION[window.action]
        wanting = [name for name, beyond in window.decision["breaches"].items() if beyond]
        yield Day(
            (str(window.until.day), _day_of(window.until)) if _is_long(window) else (f"{window.until:%H:%M}",) * 2,
            _mark(window.action, state, wanting),
            "" if window.action in ("nothing", "silent", "too_few") else state.word,
            "warn" if window.action == "nothing" and wanting else state.tone,
            _address(place, window, last) + "#day",
            _told(window),
            after_gap=before is not None and window.since - before.until > (window.until - window.since) / 2,
            current=chosen is not None and window.decided.seq == chosen.decided.seq,
        )
        before = window


def _mark(action: str, state: State, wanting: Sequence[str]) -> str:
    """Return how a decision is drawn over its column: small, unless something was done or somebody was called."""
    if action == "nothing":
        return "full" if wanting else "ring"
    return {"silent": "dash", "too_few": "dashed"}.get(action, state.icon)


def _told(window: Window) -> str:
    parts = [f"{window.until:%a} {_end_of(window)}: {monitoring_day.WORDS[window.action]}."]
    share = window.measurement(SHARE)
    parts += [f"Drifted features {share.value:.2f}."] if share and share.value is not None else []
    return " ".join([*parts, *window.decision["because"][:1]])


def _finding(found: History) -> str:
    if not found.windows:
        return ""
    first, last = found.windows[0], found.windows[-1]
    counts = {action: sum(window.action == action for window in found.windows) for action in _BY_ACTION}
    said = [f"{n} × {monitoring_day.WORDS[action]}" for action, n in counts.items() if n]
    return (
        f"{words.plural(len(found.windows), 'window')} from {_day_of(first.until)} to {_day_of(last.until)}: "
        f"{', '.join(said)}. The numbers stand in the table below the chart."
    )


def _term(found: History, term: Term) -> timeline.Term | None:
    start = _position(found.windows, term.since)
    end = _position(found.windows, term.until) if term.until else float(len(found.windows))
    return timeline.Term(str(term.release.data["version"]), start, end) if end > start else None


def _position(windows: Sequence[Window], moment: datetime) -> float:
    """Return a moment in columns: inside the window that holds it, else on the edge after the last one before it."""
    for index, window in enumerate(windows):
        if moment < window.since:
            return float(index)
        if moment < window.until:
            return index + (moment - window.since) / (window.until - window.since)
    return float(len(windows))


def _changes(found: History) -> Iterator[Change]:
    if not found.windows:
        return
    begin, end = found.windows[0].since, found.windows[-1].until
    back = {entry.at for entry in found.rollbacks}
    for term in found.terms:
        if begin < term.since <= end and term.since not in back:
            told = f"{term.release.data['version']} began to serve on {_day_of(term.since)} {term.since:%H:%M}"
            yield Change(_position(found.windows, term.since), told)
    for entry in found.rollbacks:
        if begin < entry.at <= end:
            told = f"rolled back on {_day_of(entry.at)} {entry.at:%H:%M}, ledger entry {entry.seq}"
            yield Change(_position(found.windows, entry.at), told, back=True)


def _points(found: History, name: str, attribute: str | None = None) -> list[Measurement | None]:
    return [window.measurement(name, attribute) for window in found.windows]


def _point(one: Measurement | None, tone: str = "", *, ends: bool = True) -> Point:
    if one is None:
        return Point(None)
    low, high = (one.low, one.high) if ends else (None, None)
    return Point(one.value, low, high, tone if one.value is not None else "", small=one.value is None)


def _limit(found: History, value: float | None, name: str, style: str) -> list[Line]:
    return [Line([value] * len(found.windows), name, style)] if value is not None else []


def _share_panel(found: History) -> Panel:
    limits, seen = found.limits, _points(found, SHARE)
    columns = next((one.n for one in reversed(seen) if one is not None), 0)
    lines = [
        *_limit(found, limits.drifted_share if limits else None, "retrain", "warnline"),
        *_limit(found, limits.severe_share if limits else None, "roll back", "limit"),
    ]
    points = [_point(one, _share_tone(one, limits), ends=False) for one in seen]
    return Panel("Feature drift", [f"share of {columns}"] if columns else ["share"], points, lines, height=64)


def _share_tone(one: Measurement | None, limits: Monitoring | None) -> str:
    if one is None or one.value is None or limits is None or one.value < limits.drifted_share:
        return ""
    return "b" if one.value >= limits.severe_share else "w"


def _answers_panel(found: History) -> Panel:
    limit = found.limits.prediction_drift if found.limits else None
    points = [
        _point(one, "w" if one and limit is not None and (one.low or 0.0) > limit and one.value is not None else "")
        for one in _points(found, ANSWERS)
    ]
    return Panel(
        "Prediction drift", ["PSI, 95 %", "lower end judged"], points, _limit(found, limit, "moved", "warnline")
    )


def _loss_panel(found: History) -> Panel:
    limit = found.limits.loss if found.limits else None
    points = [
        _point(one, "b" if one and limit is not None and one.low is not None and one.low > limit else "")
        for one in _points(found, LOSS_RISE)
    ]
    later = "labels not there yet" if any(point.value is not None for point in points) else ""
    times = f"{found.limits.windows} in a row" if found.limits else ""
    lines = _limit(found, limit, times, "limit")
    notes = ["over signed, 95 %", "lower end judged"]
    return Panel("Loss rise", notes, points, lines, 3, later, "no labels yet, or too few of them")


def _parity_panels(found: History) -> Iterator[Panel]:
    limit, times = (found.limits.parity_difference, found.limits.windows) if found.limits else (None, 0)
    for attribute in found.attributes:
        points = [
            _point(one, "b" if window.decision["breaches"].get(f"unfair {attribute}") else "")
            for window, one in zip(found.windows, _points(found, PARITY, attribute), strict=True)
        ]
        signed = Line([found.signed_of(window, attribute) for window in found.windows], "signed", "signed")
        lines = [*_limit(found, limit, f"{times} in a row", "limit"), signed]
        small = ["95 %, ◌ too few"] if any(point.small for point in points) else ["95 %"]
        yield Panel("Parity difference", [attribute, *small], points, lines, empty="groups are too small", height=46)


def _rows(found: History) -> Bars:
    rows = [window.counted("rows") for window in found.windows]
    return Bars("Rows", ["solid: labelled"], rows, [window.counted("labelled") for window in found.windows])


def _notes(found: History) -> list[str]:
    if found.why_no_limits:
        return [f"No limits are drawn: {words.inside(found.why_no_limits)}"]
    others = sum(window.decided.data["policy"] != found.policy for window in found.windows)
    if others and found.windows:
        them = "this window was" if len(found.windows) == 1 else f"{others} of these {len(found.windows)} windows were"
        return [f"The limits are those of the policy in force, {found.policy[:12]}; {them} decided by an earlier one."]
    return []


# --- its tables ----------------------------------------------------------------------------------------------------


def _numbers(found: History) -> dict[str, Any]:
    """Return everything that the chart shows, as a table."""
    names: list[tuple[str, str, str | None]] = [
        ("Feature drift", SHARE, None),
        ("Prediction drift", ANSWERS, None),
        ("Loss rise", LOSS_RISE, None),
    ]
    names += [(f"Parity difference, {attribute}", PARITY, attribute) for attribute in found.attributes]
    rows = [
        {
            "day": _end_of(window),
            "decision": monitoring_day.WORDS[window.action],
            "version": window.decided.data["version"] or words.MISSING,
            "rows": words.count(window.counted("rows")),
            "labelled": words.count(window.counted("labelled")),
            "cells": [_cell(window.measurement(name, attribute), name) for _, name, attribute in names],
            "signed": [_three(found.signed_of(window, attribute)) for attribute in found.attributes],
        }
        for window in reversed(found.windows)
    ]
    signed = [f"Signed, {attribute}" for attribute in found.attributes]
    return {"heads": [head for head, _, _ in names], "signed": signed, "rows": rows}


def _cell(one: Measurement | None, name: str) -> str:
    if one is None or one.value is None:
        return words.MISSING
    digits = 3 if name == LOSS_RISE else 2
    shown = f"{one.value:.{digits}f}".replace("-", "–")
    if one.low is None or one.high is None:
        return shown
    return f"{shown} ({one.low:.{digits}f} to {one.high:.{digits}f})".replace("-", "–")


def _logged(found: History, window: Window, place: str, last: int) -> dict[str, Any]:
    state = _BY_ACTION[window.action]
    return {
        "href": _address(place, window, last) + "#day",
        "day": f"{window.until:%a} {_end_of(window)}",
        "icon": state.icon,
        "tone": state.tone,
        "strong": state.rank < 2,
        "word": monitoring_day.WORDS[window.action] + (" (dry run)" if window.decided.data["dry_run"] else ""),
        "because": window.decision["because"][0] if window.decision["because"] else "",
        "version": window.decided.data["version"] or words.MISSING,
        "rows": words.count(window.counted("rows")),
        "share": _cell(window.measurement(SHARE), SHARE),
        "answers": _cell(_without_ends(window.measurement(ANSWERS)), ANSWERS),
        "loss": _cell(_without_ends(window.measurement(LOSS_RISE)), LOSS_RISE),
        "parity": _widest(found, window),
    }


def _without_ends(one: Measurement | None) -> Measurement | None:
    return Measurement(one.name, one.value, one.n, reason=one.reason) if one else None


def _widest(found: History, window: Window) -> str:
    known = [
        (one.value, name)
        for name in found.attributes
        if (one := window.measurement(PARITY, name)) and one.value is not None
    ]
    if not known:
        return words.MISSING
    value, name = max(known)
    return f"{value:.2f} {name}"


def _is_long(window: Window) -> bool:
    """Say whether a window's day tells it from its neighbours; windows of hours need the time as well."""
    return window.until - window.since >= timedelta(hours=20)


def _end_of(window: Window) -> str:
    day = _day_of(window.until)
    return day if _is_long(window) else f"{day} {window.until:%H:%M}"


def _day_of(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}"


def _two(value: float | None) -> str:
    return words.MISSING if value is None else f"{value:.2f}"


def _three(value: float | None) -> str:
    return words.MISSING if value is None else f"{value:.3f}"
