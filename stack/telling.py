"""How the demo speaks: line by line, in words that read without colour; a moving line on top only on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table

from governance.records import Measurement, RuleResult, Verdict

Json = dict[str, Any]

_WORDS = {
    "success": ("done", "green"),
    "failed": ("failed", "red"),
    "skipped": ("skipped", "dim"),
    "deferred": ("waits", "magenta"),
    "up_for_retry": ("will be tried again", "yellow"),
    "upstream_failed": ("not reached", "dim"),
}
_COLOURS = {"pass": "green", "warn": "yellow", "block": "red", "not enough data": "dim", "not applicable": "dim"}


class Teller:
    """Says what happens, to a terminal or to a file."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """Say a line."""
        self.console.print(text, markup=False)

    def good(self, text: str) -> None:
        """Say a line that is good news."""
        self.console.print(text, style="bold green", markup=False)

    def bad(self, text: str) -> None:
        """Say a line that is bad news."""
        self.console.print(text, style="bold red", markup=False)

    def title(self, text: str) -> None:
        """Say a heading."""
        self.console.print(f"\n{text}", style="bold", markup=False)

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Say names and what belongs to them."""
        width = max(map(len, pairs))
        for name, value in pairs.items():
            self.console.print(f"  {name:{width}}  {value}", markup=False)

    def task(self, name: str, state: str, seconds: float | None) -> None:
        """Say that a task turned."""
        if state not in _WORDS:
            return
        word, style = _WORDS[state]
        took = f"  {seconds:.1f} s" if seconds and state in ("success", "failed") else ""
        self.console.print(f"  {name:36} {word}{took}", style=style, markup=False)

    def running(self, names: Sequence[str]) -> None:
        """Show what runs, on a terminal."""
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        self._status.update(f"now: {', '.join(names) or 'nothing'}")

    def verdict(self, evidence: Json, digest: str) -> None:
        """Say a verdict, rule by rule."""
        verdict = Verdict.from_dict(evidence["verdict"])
        model = evidence["model"]
        word = "blocked" if verdict.failing() else f"{verdict.outcome}: may be signed"
        self.title(f"{model['name']} {model['version']}, attempt {model['attempt']}: {word}")
        self.console.print(f"evidence {digest}", style="dim", markup=False)
        table = Table(box=None, pad_edge=False, show_edge=False)
        for column in ("Verdict", "Rule"):
            table.add_column(column)
        for column in ("n", "Estimate", "95 % interval"):
            table.add_column(column, justify="right")
        table.add_column("Limit")
        for rule in verdict.rules:
            table.add_row(*_cells(rule), style=_COLOURS[str(rule.outcome)])
        self.console.print(table)

    def alternatives(self, tried: Sequence[Json]) -> None:
        """Say which alternatives were tried, and what the chosen one costs."""
        chosen = next((one for one in tried if one["chosen"]), None)
        self.title(f"{len(tried)} alternatives tried, none with a protected attribute")
        for one in sorted(tried, key=lambda one: (not one["chosen"], not one["passes"]))[:8]:
            mark = "chosen" if one["chosen"] else "passes" if one["passes"] else "fails "
            self.console.print(f"  {mark:7} {one['label']:38} {_price(one)}", markup=False)
        if chosen is None:
            self.bad("None passes every rule: the search ends empty-handed.")

    def signature(self, decision: Json) -> None:
        """Say who decided."""
        self.good(
            f"{decision['person']} as {decision['role']}: {decision['answer']} (evidence {decision['evidence'][:16]})"
        )


def _cells(rule: RuleResult) -> list[str]:
    about = rule.slice.get("attribute") or " ".join(rule.slice.values())
    return [
        str(rule.outcome),
        f"{rule.title} {about}".strip(),
        f"{rule.n:,}" if rule.n is not None else "–",
        _number(rule.value),
        f"{_number(rule.low)} – {_number(rule.high)}" if rule.low is not None else "–",
        _limits(rule),
    ]


def _limits(rule: RuleResult) -> str:
    signs = {"at_least": "≥", "at_most": "≤", "warn_below": "warn <", "warn_above": "warn >"}
    bound = {"low": "lower bound ", "high": "upper bound ", "estimate": ""}[rule.bound]
    limits = " · ".join(f"{signs[name]} {limit:g}" for name, limit in rule.limits.items())
    return f"{bound}{limits}" if limits else rule.reason


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _price(one: Json) -> str:
    values = {m.key: m for m in map(Measurement.from_dict, one["measurements"])}
    parts = []
    for (name, slice_), measurement in values.items():
        short = {"performance.accuracy": "accuracy", "performance.unfavourable_selected": "denied approved"}.get(name)
        if name == "fairness.demographic_parity_difference" and slice_ == (("attribute", "race"),):
            short = "parity race"
        if short:
            parts.append(f"{short} {_number(measurement.value)}")
    return " · ".join(parts)
