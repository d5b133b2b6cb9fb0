"""What is watched, as gauges in Prometheus' text format: the last decision on each model, and what it rests on.

Read from the ledger: each model once, then only what is new, so that a scrape costs four small queries however many
models there are. Times are given as moments; how old something is, whoever asks subtracts. Neighbours:
:mod:`governance.serving.metrics` has what the scoring service counts. Not guaranteed: that every decision is seen; a
gauge holds the last one, and the ledger all of them.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from governance.ledger.log import Entry, Ledger
from governance.monitoring.act import DAGS
from governance.monitoring.decide import HEADLINES
from governance.monitoring.decision import ANSWERS, LOSS_RISE, PARITY, SHARE
from governance.monitoring.watch import DECIDED
from governance.serving.metrics import label

MODELS_AT_ONCE = 200
"""Models that one request reads for the first time at most; the next reads on."""

MOST_ATTRIBUTES = 20
"""Attributes of one model, so that a folder cannot make ever new series."""

PREFIX = "governance_monitoring"

HELP = {
    "decision": "Whether this was the last decision on the model (1) or not (0).",
    "window_end_timestamp_seconds": "When the last decided window ended.",
    "window_rows": "Predictions of the champion in the last decided window.",
    "window_labelled_rows": "Those of them whose label had arrived.",
    "share_drifted": "Share of drifted features in it.",
    "prediction_psi": "PSI of the scores in it: the estimate, and the lower end that is held against the limit.",
    "loss_rise": "Rise of the loss over what was signed: the estimate, and the lower end that is judged.",
    "parity_difference": "Widest difference of selection rates between the groups of an attribute.",
    "cycle_seconds": "From the last decision that was carried out to the release or roll back that it asked for.",
    "models_unread": "Models of which nothing was read since this server started; the next scrape reads on.",
}
"""Metric, without its prefix → what it says. Every one is a gauge."""


@dataclass
class Known:
    """What is known of one model.

    Attributes:
        decided: Its last decision: that on the latest window.
        rows: Predictions in that window.
        labelled: Labels.
        measured: What was measured of it, as it is on record.
        cycles: Action → seconds from the decision to what it asked for.
    """

    decided: Entry | None = None
    rows: int = 0
    labelled: int = 0
    measured: Sequence[Mapping[str, Any]] = field(default_factory=list)
    cycles: dict[str, float] = field(default_factory=dict)


class Gauges:
    """The gauges of all models, kept in the memory of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, Known] = {}
        self._seen = 0

    def text(self, ledger: Ledger, models: Sequence[str]) -> str:
        """Return every gauge.

        Args:
            ledger: The record.
            models: Names of the models that are governed.

        Raises:
            UnavailableError: The ledger does not answer.
        """
        with self._lock:
            self._follow(ledger)
            unread = [model for model in models if model not in self._models]
            for model in unread[:MODELS_AT_ONCE]:
                self._models[model] = self._read(ledger, model)
            known = {model: self._models[model] for model in models if model in self._models}
            lines = [*_lines(known), *_block("models_unread", [({}, max(len(unread) - MODELS_AT_ONCE, 0))])]
        return "\n".join([*lines, ""])

    def _follow(self, ledger: Ledger) -> None:
        """Take what is new of the models that are known."""
        newest = next(iter(ledger.find(newest_first=True, limit=1)), None)
        before, self._seen = self._seen, newest.seq if newest else 0
        if self._seen < before:  # another ledger, or one that lost its end: nothing that is known holds
            self._models.clear()
        if not self._models or self._seen == before:
            return
        for kind in (DECIDED, *_CARRIED_OUT):
            for entry in ledger.find(kind=kind, after=before):
                self._take(ledger, entry)

    def _take(self, ledger: Ledger, entry: Entry) -> None:
        known = self._models.get(entry.subject)
        if known is None:
            return
        if entry.kind == DECIDED:
            _decide(ledger, known, [entry])
        else:
            known.cycles |= _cycle(ledger, entry)

    def _read(self, ledger: Ledger, model: str) -> Known:
        known = Known()
        # The last ones, for a day that was filled in later is entered after younger days.
        _decide(ledger, known, ledger.find(kind=DECIDED, subject=model, newest_first=True, limit=8))
        for kind in _CARRIED_OUT:
            for entry in ledger.find(kind=kind, subject=model, newest_first=True, limit=1):
                known.cycles |= _cycle(ledger, entry)
        return known


_CARRIED_OUT = ("release", "rollback")
"""Kinds of entries with which what was decided has come about."""


def _decide(ledger: Ledger, known: Known, entries: Iterable[Entry]) -> None:
    found = [*entries, *([known.decided] if known.decided else [])]
    last = max(found, key=lambda entry: (_end(entry), entry.seq), default=None)
    if last is None or last is known.decided:
        return
    window, watched = (ledger.get(last.data[name]) for name in ("window", "watched"))
    known.decided = last
    known.rows, known.labelled = (int(window.data.get(name) or 0) if window else 0 for name in ("rows", "labelled"))
    judged = {SHARE, ANSWERS, LOSS_RISE, PARITY}
    known.measured = [one for one in watched.data["measurements"] if one["name"] in judged] if watched else []


def _end(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.data["until"])


def _cycle(ledger: Ledger, entry: Entry) -> dict[str, float]:
    """Return action and seconds of the decision that an entry carries out; nothing where people asked for it."""
    key = entry.data.get("decision")
    if entry.kind == "release":
        begun = ledger.get(f"run:{entry.subject}:{entry.data.get('run_id')}")
        key = begun.data["request"].get("decision") if begun else None
    decided = ledger.get(key) if isinstance(key, str) else None
    if decided is None or decided.kind != DECIDED or decided.data["decision"]["action"] not in DAGS:
        return {}
    return {decided.data["decision"]["action"]: (entry.at - decided.at).total_seconds()}


Sample = tuple[Mapping[str, str], float]


def _lines(models: Mapping[str, Known]) -> Iterator[str]:
    decided = {model: known for model, known in models.items() if known.decided is not None}
    yield from _block("decision", [one for model, known in decided.items() for one in _decision(model, known)])
    ends = [({"model": model}, _end(known.decided).timestamp()) for model, known in decided.items() if known.decided]
    yield from _block("window_end_timestamp_seconds", ends)
    yield from _block("window_rows", [({"model": model}, known.rows) for model, known in decided.items()])
    yield from _block("window_labelled_rows", [({"model": model}, known.labelled) for model, known in decided.items()])
    for name, measure, ends_too in (
        ("share_drifted", SHARE, False),
        ("prediction_psi", ANSWERS, True),
        ("loss_rise", LOSS_RISE, True),
    ):
        yield from _block(name, [one for item in decided.items() for one in _measured(*item, measure, ends_too)])
    yield from _block("parity_difference", [one for item in decided.items() for one in _parity(*item)])
    cycles = [({"model": model, "action": action}, seconds)
              for model, known in models.items() for action, seconds in sorted(known.cycles.items())]  # fmt: skip
    yield from _block("cycle_seconds", cycles)


def _decision(model: str, known: Known) -> Iterator[Sample]:
    taken = known.decided.data["decision"]["action"] if known.decided else None
    for action in HEADLINES:
        yield {"model": model, "action": action}, float(action == taken)


def _measured(model: str, known: Known, measure: str, ends_too: bool) -> Iterator[Sample]:
    one = next((one for one in known.measured if one["name"] == measure), None)
    if one is None or one["value"] is None:
        return
    yield {"model": model, **({"bound": "estimate"} if ends_too else {})}, one["value"]
    if ends_too and one.get("low") is not None:
        yield {"model": model, "bound": "low"}, one["low"]


def _parity(model: str, known: Known) -> Iterator[Sample]:
    found = [one for one in known.measured if one["name"] == PARITY and " × " not in one["slice"]["attribute"]]
    for one in found[:MOST_ATTRIBUTES]:
        if one["value"] is not None:
            yield {"model": model, "attribute": one["slice"]["attribute"]}, one["value"]


def _block(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {PREFIX}_{name} {HELP[name]}"
    yield f"# TYPE {PREFIX}_{name} gauge"
    for labels, value in samples:
        written = ",".join(f"{key}={label(text)}" for key, text in labels.items())
        yield f"{PREFIX}_{name}{f'{{{written}}}' if written else ''} {value!r}"
