"""How the demo speaks: line by line, in words that read without colour; a moving line on top only on a terminal."""

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.status import Status
from rich.text import Text

from governance.commands import verdicts
from governance.commands.answer import console, table
from governance.monitoring.decide import HEADLINES
from governance.records import Measurement, Verdict
from governance.reports import words

Json = dict[str, Any]

SHOWN = 8
"""So many alternatives are shown; the review page has all of them."""

COLUMNS = 100
"""Width where there is no terminal to ask."""

_WORDS = {
    "success": ("done", "green"),
    "failed": ("failed", "red"),
    "skipped": ("skipped", "dim"),
    "deferred": ("waits", "magenta"),
    "up_for_retry": ("will be tried again", "yellow"),
    "upstream_failed": ("not reached", "dim"),
}
_PRICES = {
    ("performance.accuracy", ()): "accuracy",
    ("performance.unfavourable_selected", ()): "denied approved",
    ("fairness.demographic_parity_difference", (("attribute", "race"),)): "parity, race",
}


class Teller:
    """Says what happens, to a terminal or to a file."""

    def __init__(self) -> None:
        self.console = console(sys.stdout)
        if not self.console.is_terminal:
            self.console.width = COLUMNS
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """Say a line."""
        self.console.print(text, soft_wrap=True)

    def good(self, text: str) -> None:
        """Say a line that is good news."""
        self.console.print(text, style="bold green", soft_wrap=True)

    def bad(self, text: str) -> None:
        """Say a line that is bad news."""
        self.console.print(text, style="bold red", soft_wrap=True)

    def title(self, text: str) -> None:
        """Say a heading."""
        self.console.print(f"\n{text}", style="bold", soft_wrap=True)

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Say names and what belongs to them."""
        width = max(map(len, pairs))
        for name, value in pairs.items():
            self.console.print(f"  {name:{width}}  {value}", soft_wrap=True)

    def task(self, name: str, state: str, seconds: float | None) -> None:
        """Say that a task turned."""
        if state not in _WORDS:
            return
        word, style = _WORDS[state]
        took = f"  {seconds:.1f} s" if seconds and state in ("success", "failed") else ""
        self.console.print(f"  {name:36} {word}{took}", style=style, soft_wrap=True)

    def running(self, names: Sequence[str]) -> None:
        """Show what runs, on a terminal."""
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        self._status.update(f"now: {', '.join(names) or 'nothing'}")

    def rest(self) -> None:
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()

    def verdict(self, evidence: Json, digest: str) -> None:
        """Say a verdict, rule by rule."""
        model = evidence["model"]
        self.title(f"{model['name']} {model['version']}, attempt {model['attempt']}")
        self.console.print(f"evidence {digest}", style="dim")
        verdicts.show(self.console, Verdict.from_dict(evidence["verdict"]))
        self.say("")

    def alternatives(self, tried: Sequence[Json]) -> None:
        """Say which alternatives were tried, and what each costs: the chosen one first, then what else passes."""
        self.title(f"{len(tried)} alternatives tried, none with a protected attribute")
        rows = table("", "alternative", *_PRICES.values(), numbers=_PRICES.values())
        for one in sorted(tried, key=lambda one: (not one["chosen"], not one["passes"]))[:SHOWN]:
            mark = "chosen" if one["chosen"] else "passes" if one["passes"] else "fails"
            rows.add_row(mark, one["label"], *_prices(one), style="bold green" if one["chosen"] else None)
        self.console.print(rows)
        if len(tried) > SHOWN:
            self.say(f"… and {len(tried) - SHOWN} more, on the review page.")
        if not any(one["chosen"] for one in tried):
            self.bad("None passes every rule: the search ends empty-handed.")

    def signature(self, name: str, role: str, decision: Json) -> None:
        """Say who decided what, over which bytes."""
        said = {"approve": "approves", "reject": "rejects"}[decision["answer"]]
        self.good(f"{name} ({role}) {said} evidence {decision['evidence'][:16]}")

    def decision(self, on: date, rows: int, data: Mapping[str, Any]) -> None:
        """Say what was decided about a day, and why."""
        found = data["decision"]
        word, style = _chosen(found["action"])
        said = Text(f"{on:%a %e %b}  {rows:,} applications, {data['version']}: ").append(word, style)
        self.console.print(said, soft_wrap=True)
        for reason in found["because"]:
            self.console.print(f"            {reason}", style="dim", soft_wrap=True)


def _chosen(action: str) -> tuple[str, str]:
    """Return an action in words, and its colour."""
    colours = {"nothing": "dim", "retrain": "bold yellow", "roll_back": "bold red", "data_fault": "bold magenta"}
    return HEADLINES[action].partition(":")[0], colours.get(action, "yellow")


def _prices(one: Json) -> list[str]:
    found = {m.key: m.value for m in map(Measurement.from_dict, one["measurements"])}
    return [words.number(name, found.get((name, slice_))) for name, slice_ in _PRICES]
