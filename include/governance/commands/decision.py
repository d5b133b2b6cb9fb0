"""``governance decision``: what was decided about a watched model, when, by which rule and why, in sentences."""

from datetime import date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from governance.commands.answer import NO, UNDECIDED, YES, Answer, line
from governance.commands.records import expect_known, open_ledger
from governance.errors import InputError
from governance.ledger.log import Entry, Ledger
from governance.monitoring.gone import let_go_of, sentence_of
from governance.records import Measurement
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]

KIND = "monitoring"
SHOWN, LOOKBACK = 10, 400
CODES = {"nothing": YES, "silent": UNDECIDED, "too_few": UNDECIDED}
"""Action → exit code; every other is 2: something is wrong, or something was done about it."""


def decision(settings: Settings, model: str, day: str | None, *, history: int | None = None) -> Answer:
    """Answer what was decided last, or about the windows that ended on a day.

    Args:
        settings: Where things are.
        model: The model's name.
        day: As ``2026-03-03``; the last decision by default.
        history: How many of the last are listed, a line each.

    Raises:
        InputError: There is no such model, or nothing was decided (then).
    """
    ledger = open_ledger(settings)
    expect_known(settings, ledger, model)
    wanted = _day(day)
    read = islice(ledger.backwards(KIND, model), None if wanted else LOOKBACK)
    known = [entry for entry in read if wanted in (None, _end_of(entry).date())]
    # By when the windows ended, as on the page: one that was looked at late is not the last.
    found = sorted(known, key=_end_of, reverse=True)[: None if wanted else history or 1]
    if not found:
        when = f" about a window that ended on {wanted}" if wanted else ""
        raise InputError(
            f"Expected a decision on {model}{when}, found none. monitor_{model} decides; trigger it, or wait for its "
            f"schedule."
        )
    documents = [_document(ledger, entry) for entry in found]
    if history:
        return Answer({"decisions": documents}, lambda out: _list(out, documents))
    code = CODES.get(documents[0]["decision"]["action"], NO)
    return Answer({**documents[0], "others": documents[1:]}, lambda out: _show(out, documents), code)


def _end_of(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.data["until"])


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InputError(f"Expected a day such as 2026-03-03, found {text!r}.") from error


def _document(ledger: Ledger, entry: Entry) -> Json:
    data = entry.data
    watched, window = ledger.get(data["watched"]), ledger.get(data.get("window", ""))
    gone = let_go_of(ledger, window) if window else None
    kept = {name: data[name] for name in ("since", "until", "as_of", "version", "champion", "policy", "dry_run")}
    measured = watched.data["measurements"] if watched else []
    return {
        "model": entry.subject,
        **kept,
        "decision": data["decision"],
        "entry": entry.seq,
        "at": entry.at.isoformat(),
        "measurements": measured,
        "let_go": sentence_of(gone) if gone else None,
    }


def _list(out: "Console", documents: list[Json]) -> None:
    for one in documents:
        found = one["decision"]
        line(out, f"{_window(one)}  {found['action'].replace('_', ' '):<10}  {found['because'][0]}")


def _show(out: "Console", documents: list[Json]) -> None:
    for one in documents:
        _show_one(out, one)


def _show_one(out: "Console", one: Json) -> None:
    found = one["decision"]
    dry = " (dry run: nothing is done)" if one["dry_run"] and found["action"] in ("retrain", "roll_back") else ""
    head = f"{one['model']} {one['version'] or ''} · {_window(one)}: {found['action'].replace('_', ' ')}{dry}"
    line(out, head, style="bold")
    for sentence in found["because"]:
        line(out, f"  {sentence}")
    cut_off = one["as_of"][:16].replace("T", " ")
    by = f"By the rule {found['rule']} of policy {one['policy'][:16]}, on what had arrived by {cut_off}"
    line(out, f"{by}. Ledger entry {one['entry']}.", style="dim")
    measured = [Measurement.from_dict(document) for document in one["measurements"]]
    for measurement in [m for m in measured if not m.slice or m.name == "fairness.demographic_parity_difference"]:
        line(out, f"  {_fact(measurement)}")
    if one["let_go"]:
        line(out, f"  {one['let_go']}")


def _fact(one: Measurement) -> str:
    of = f" {one.slice['attribute']}" if one.slice else ""
    if one.value is None:
        return f"{one.name}{of}: {one.reason}"
    ends = f" ({one.low:.3f} to {one.high:.3f})" if one.low is not None and one.high is not None else ""
    return f"{one.name}{of}: {one.value:.3f}{ends}, n {one.n:,}"


def _window(one: Json) -> str:
    """Return when a window was; with seconds where it is no longer than some minutes."""
    since, until = (datetime.fromisoformat(one[name]) for name in ("since", "until"))
    form = "%Y-%m-%d %H:%M" if until - since >= timedelta(minutes=10) else "%Y-%m-%d %H:%M:%S"
    return f"{since:{form}} to {until:{form if since.date() != until.date() else form[9:]}}"
