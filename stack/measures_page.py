"""``docs/measures.md``: every measure with its formula, its source and its limit by tier, taken from the code.

``python -m stack.measures_page`` writes it (`make docs`); a test compares it with what would be written now.
"""

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from governance import assessment, code, measures, yamlfile
from governance.measures.catalogue import MEASURES, MeasureInfo
from governance.policyfile import RuleText, TierFile, limits_of
from governance.review import findings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "measures.md"
TIERS = ("high", "medium", "low")
SECTION = re.compile(r"^(Formula|Source of the interval|Source|Ideal|Limits): ", re.MULTILINE)

WRITTEN_ELSEWHERE = {
    "performance.recall": "true_positive_rate",
    "performance.unfavourable_selected": "false_positive_rate",
    "provenance.overdue_findings": "measured",
    "explainability.top_3_share": "top_share",
    "explainability.top_5_share": "top_share",
    "explainability.top_10_share": "top_share",
}
"""Measurement → the function that computes it, where that has another name."""

Functions = dict[tuple[str, str], Callable[..., Any]]
"""Functions that state a formula, by family and name."""

SIGNS = {"at_least": "≥", "at_most": "≤", "warn_below": "warn <", "warn_above": "warn >"}
BOUNDS = {"low": "lower bound ", "high": "upper bound ", "estimate": "", None: ""}

HEAD = """# Measures

What can be measured, by which formula, from which source, and what each tier demands of it. A model's policy may demand
more of any of them, never less. This page is made from the code (`make docs`); a test fails when it is not current.

How to read it: a measure is a number with its n and, where one exists, a 95 % interval; *of* says what each number
speaks of. A rule judges the estimate unless *lower bound* or *upper bound* is written. *warn* does not stop a release.
What could not be measured blocks; too few rows are *not enough data*, which the tier lets stop a release or reports.
"""


def page() -> str:
    """Return the page as it should be."""
    tiers = {tier: yamlfile.read(ROOT / "include" / "policies" / f"{tier}.yaml", TierFile).content for tier in TIERS}
    functions = dict(_functions())
    parts = [HEAD]
    for family in dict.fromkeys(info.family for info in MEASURES.values()):
        parts.append(f"## {family.capitalize()}\n")
        parts.append("| measure | what it is | formula | source | high | medium | low |\n" + "| --- " * 7 + "|")
        named = [(name, info) for name, info in MEASURES.items() if info.family == family]
        parts.append("\n".join(_row(name, info, functions, tiers) for name, info in named) + "\n")
    return "\n".join(parts)


def undocumented() -> list[str]:
    """Return the measures whose code states no formula or no source."""
    functions = dict(_functions())
    return [name for name in MEASURES if not {"Formula", "Source"} <= set(_said(name, functions))]


def _row(name: str, info: MeasureInfo, functions: Functions, tiers: dict[str, TierFile]) -> str:
    said = _said(name, functions)
    unit = {"higher": "more is better", "lower": "less is better", None: "no better or worse"}[info.better]
    what = f"{said['what']} Of {info.of}; {info.range_in_words}; {unit}."
    cells = [f"`{name}`", what, said.get("Formula", "–"), said.get("Source", "–")]
    cells += [_demands(name, tier) for tier in tiers.values()]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _demands(name: str, tier: TierFile) -> str:
    found = [_demand(rule) for rule in tier.rules.values() if rule.measure == name and limits_of(rule)]
    return "; ".join(found) or "–"


def _demand(rule: RuleText) -> str:
    limits = ", ".join(f"{SIGNS[limit]} {value:g}" for limit, value in limits_of(rule).items())
    over = f" ({rule.over})" if rule.over == "intersections" else ""
    return f"{BOUNDS[rule.of]}{limits}{over}"


def _said(name: str, functions: Functions) -> dict[str, str]:
    family, _, measure = name.partition(".")
    wanted = WRITTEN_ELSEWHERE.get(name, measure)
    found = functions.get((family, wanted)) or next((f for (_, own), f in functions.items() if own == wanted), None)
    if found is None:
        return {"what": ""}
    text = inspect.getdoc(found) or ""
    text = re.split(r"^(?:Args|Returns|Raises):", text, flags=re.MULTILINE)[0]
    what, *sections = SECTION.split(text)
    said = {"what": what.partition("\n\n")[0]} | dict(zip(sections[::2], sections[1::2], strict=True))
    said.setdefault("Source", said.get("Source of the interval", ""))
    return {part: _one_line(body) for part, body in said.items() if body}


def _one_line(text: str) -> str:
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", " ".join(text.split())).replace("``", "`")


def _functions() -> Iterator[tuple[tuple[str, str], Callable[..., Any]]]:
    """Yield every function that states a formula, by family and name; the module's first word is its family."""
    for module in pkgutil.iter_modules(measures.__path__):
        loaded = import_module(f"{measures.__name__}.{module.name}")
        for name, found in inspect.getmembers(loaded, inspect.isfunction):
            if found.__module__ == loaded.__name__ and "Formula:" in (inspect.getdoc(found) or ""):
                yield (_family(module.name), name), found
    for family, loaded in (("provenance", code), ("provenance", findings), ("performance", assessment)):
        for name, found in inspect.getmembers(loaded, inspect.isfunction):
            if found.__module__ == loaded.__name__ and "Formula:" in (inspect.getdoc(found) or ""):
                yield (family, name), found


def _family(module: str) -> str:
    known = {info.family for info in MEASURES.values()}
    first = module.partition("_")[0]
    return first if first in known else "performance"


if __name__ == "__main__":
    PAGE.write_text(page())
