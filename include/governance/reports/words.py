"""Every sentence and number of the pages, in one place, so that one fact always reads the same.

Pure functions from records to text. Nothing here escapes anything: templates do (autoescape), charts do themselves.
The rules of wording are those of the design: result first, then counts, then who is missing, then the cost.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from governance.records import Outcome, RuleResult, Verdict
from governance.reports.reading import ACCURACY, PARITY, UNFAVOURABLE_SELECTED, Json, Reading

MISSING = "–"
"""What stands where there is no number: never zero, never nothing."""

TIMES = " × "
"""Joins the attributes of an intersection."""

WHOLE = ("_bytes", "_vulnerabilities", "_features")
"""How measures end that count something."""

Spans = tuple[tuple[str, bool], ...]
"""A sentence in pieces, each with whether it is set in bold."""

_JOIN = "\u00a0"
"""Between a number and its unit, so that no line breaks there."""

_HINTS = {
    "explainability.coverage": "SHAP",
    "explainability.top_10_share": "SHAP",
    "operations.latency_p99_ms": "one row",
}


# --- numbers -------------------------------------------------------------------------------------------------------


def parameters(training: Json) -> str:
    """Return what a model was trained with: parameters, seed, and whether a protected attribute took part."""
    named = [f"{name} {value}" for name, value in training["parameters"].items()]
    reduction = training.get("reduction")
    return ", ".join([*named, f"seed {training['seed']}", *([f"{reduction} by group"] if reduction else [])])


def decided_at(training: Json) -> str:
    """Return from which score on a model decides in favour; empty where nothing is decided by one."""
    threshold = training.get("threshold")
    return "" if threshold is None else f"from a score of {threshold:g}"


def unusual(request: Json) -> str:
    """Return what the person who started the run changed from the reviewed spec; empty where nothing."""
    source, changed = request.get("source"), request.get("parameters") or {}
    parts = [f"data from {source}"] if source else []
    parts += [f"{name} {value}" for name, value in changed.items()]
    return listed(parts) if parts else ""


def number(measure: str, value: float | None) -> str:
    """Return an estimate as people read it: metrics with 3 decimals, milliseconds with 1, counts with none."""
    if value is None:
        return MISSING
    if measure.endswith("_ms"):
        return f"{value:,.1f}"
    if measure.startswith("provenance.") or measure.endswith(WHOLE):
        return f"{value:,.0f}"
    return f"{value:.3f}".replace("-", "–")


def interval(measure: str, low: float | None, high: float | None, method: str | None = None) -> str:
    """Return ``0.058 – 0.137``; *counted* for what has no interval because nothing was sampled."""
    if low is None or high is None:
        return "counted" if method == "counted" or measure.startswith("provenance.") else MISSING
    return f"{number(measure, low)} – {number(measure, high)}"


def share(value: float | None, decimals: int = 1) -> str:
    """Return a share of one as ``16.1 %``."""
    return MISSING if value is None else f"{100 * value:.{decimals}f} %"


def count(n: int | None) -> str:
    """Return a count with thousands set apart."""
    return MISSING if n is None else f"{n:,}"


def change(measure: str, before: float | None, after: float | None) -> str:
    """Return the difference, computed before rounding, with its sign."""
    if before is None or after is None:
        return MISSING
    difference = after - before
    return ("+" if difference >= 0 else "–") + number(measure, abs(difference))


def size(n: int) -> str:
    """Return a number of bytes in the largest unit that keeps it above one."""
    amount = float(n)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def limit(rule: RuleResult) -> tuple[str, str]:
    """Return what a rule allows and when it warns: ``("≤ 0.10", "warn > 0.05")``; either may be empty."""
    bound = {"low": "lower bound ", "high": "upper bound "}.get(rule.bound, "")
    signs = {"at_most": "≤", "at_least": "≥", "warn_above": "warn >", "warn_below": "warn <"}
    parts = {
        name: f"{bound if name.startswith('at') else ''}{sign} {_limit_number(rule, rule.limits[name])}"
        for name, sign in signs.items()
        if name in rule.limits
    }
    hard = " and ".join(text for name, text in parts.items() if name.startswith("at"))
    return hard, " · ".join(text for name, text in parts.items() if name.startswith("warn"))


def _limit_number(rule: RuleResult, value: float) -> str:
    if rule.measure.endswith(WHOLE):
        return f"{value:,.0f}"
    if rule.measure.endswith("_ms") or rule.measure.startswith("provenance."):
        return f"{value:,g}"
    return f"{value:.3f}" if rule.bound != "estimate" else f"{value:.2f}"


# --- names ---------------------------------------------------------------------------------------------------------


def slice_words(slice_: Mapping[str, str], measure: str = "") -> str:
    """Return a slice as people say it: ``race × sex``, ``Black women``, ``sex unknown``, ``White (sex unknown)``."""
    if "attribute" in slice_:
        return slice_["attribute"]
    unknown = ", ".join(f"{attribute} unknown" for attribute, group in slice_.items() if group == "unknown")
    known = " ".join(group for group in slice_.values() if group != "unknown")
    if known and unknown:
        return f"{known} ({unknown})"
    return known or unknown or _HINTS.get(measure, "")


def listed(names: Sequence[str], word: str = "and") -> str:
    """Return ``a, b and c``."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}" if names else "nobody"


def inside(title: str) -> str:
    """Return a title as it stands inside a sentence: ``parity difference``, but ``ROC AUC``."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def plural(n: int, one: str, many: str | None = None) -> str:
    """Return ``1 warning`` or ``3 warnings``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


# --- time ----------------------------------------------------------------------------------------------------------


def moment(at: datetime, now: datetime | None = None) -> str:
    """Return ``29 Oct 10:41`` (UTC); with the year where it is not this one."""
    year = f" {at.year}" if now is not None and at.year != now.year else ""
    return f"{at.day} {at:%b}{year} {at:%H:%M}"


def day(text: str) -> str:
    """Return ``31 Jan 2027`` from its ISO form."""
    at = date.fromisoformat(text)
    return f"{at.day} {at:%b %Y}"


def remaining(until: datetime, now: datetime) -> str:
    """Return ``in 6 d 21 h``; what is over says so."""
    return f"in {_span(until - now)}" if until > now else "over"


def ago(at: datetime, now: datetime) -> str:
    """Return ``3 h ago``, in the largest unit alone."""
    whole = now - at < timedelta(hours=1)
    return f"{_span(now - at) if whole else _span(now - at).rsplit(_JOIN, 2)[0]} ago"


def _span(span: timedelta) -> str:
    minutes = max(int(span.total_seconds() // 60), 0)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days}{_JOIN}d{_JOIN}{hours}{_JOIN}h"
    return f"{hours}{_JOIN}h{_JOIN}{minutes % 60}{_JOIN}min" if hours else f"{minutes}{_JOIN}min"


# --- sentences -----------------------------------------------------------------------------------------------------


def headline(verdict: Verdict) -> str:
    """Return the result in a sentence: ``Passes, with 3 warnings.``, or what blocks it and by how much."""
    failing = verdict.failing()
    if failing:
        shown = [_against(rule) for rule in failing[:2]]
        more = [f"{len(failing) - 2} more"] if len(failing) > 2 else []
        word = "Blocked" if verdict.outcome is Outcome.BLOCK else "Not enough data"
        return f"{word}: {listed([*shown, *more])}."
    warnings, waived = len(verdict.with_outcome(Outcome.WARN)), len(verdict.waived())
    if verdict.outcome is Outcome.BLOCK:
        return "Blocked: no rule was judged."
    parts = [plural(waived, "rule waived", "rules waived")] if waived else []
    parts += [plural(warnings, "warning")] if warnings else []
    return f"Passes, with {listed(parts)}." if parts else "Passes."


def _against(rule: RuleResult) -> str:
    name = " ".join(part for part in (inside(rule.title), _by(rule.slice)) if part)
    judged = {"low": rule.low, "high": rule.high}.get(rule.bound, rule.value)
    side = broken_side(rule)
    if judged is None or side is None:
        return f"{name}: {inside(rule.reason).rstrip('.')}"
    word = "above" if side == "at_most" else "below"
    return f"{name} {number(rule.measure, judged)} is {word} {_limit_number(rule, rule.limits[side])}"


def _by(slice_: Mapping[str, str]) -> str:
    words = slice_words(slice_)
    return f"by {words}" if "attribute" in slice_ else words and f"of {words}"


def broken_side(rule: RuleResult) -> str | None:
    """Return which limit the judged number breaks, ``at_most`` or ``at_least``; ``None`` where neither."""
    judged = {"low": rule.low, "high": rule.high}.get(rule.bound, rule.value)
    if judged is None:
        return None
    if "at_most" in rule.limits and judged > rule.limits["at_most"]:
        return "at_most"
    return "at_least" if "at_least" in rule.limits and judged < rule.limits["at_least"] else None


def counts(verdict: Verdict) -> str:
    """Return how many rules say what: ``No rule blocks; 10 of 15 pass``, and so on."""
    waived = verdict.waived()
    by = {outcome: sum(rule not in waived for rule in verdict.with_outcome(outcome)) for outcome in Outcome}
    blocking = by[Outcome.BLOCK]
    start = "No rule blocks" if not blocking else plural(blocking, "rule blocks", "rules block")
    parts = [f"{by[Outcome.PASS]} of {len(verdict.rules)} pass"]
    if blocking and by[Outcome.WARN]:
        parts.append(plural(by[Outcome.WARN], "warns", "warn"))
    if waived:
        parts.append(plural(len(waived), "is waived", "are waived"))
    if few := by[Outcome.NOT_ENOUGH_DATA]:
        parts.append(plural(few, "has not enough data", "have not enough data"))
    if other := by[Outcome.NOT_APPLICABLE]:
        parts.append(plural(other, "does not apply", "do not apply"))
    return f"{start}; {', '.join(parts)}."


def waived(waiver: Mapping[str, Json], names: Mapping[str, str]) -> str:
    """Return until when a rule gives way, who signed that, and why."""
    by = [names.get(one["person"], one["person"]) for one in waiver["by"]]
    reason = str(waiver["reason"]).rstrip(".")
    return f"Waived until {day(waiver['until'])} by {listed(by)}: {reason}."


def finding(text: str, owner: str, due: str, names: Mapping[str, str]) -> str:
    """Return what is to be mended, by whom and until when."""
    return f"{text.rstrip('.')}. {names.get(owner, owner)} mends it until {day(due)}."


def signed(done: int, needed: int, missing: Sequence[str]) -> str:
    """Return who has signed and who is missing: ``1 of 2 signed: Compliance is missing``."""
    start = f"{done} of {needed} signed"
    return f"{start}: {listed(missing)} {'is' if len(missing) == 1 else 'are'} missing." if missing else f"{start}."


def replaces(before: Reading, after: Reading) -> Spans:
    """Return what a blocked attempt had against it, and what its replacement costs; bold is what is now."""
    spans: list[tuple[str, bool]] = [("Replaces a blocked attempt", False)]
    fixed = [rule for rule in before.verdict.failing() if after.value(rule.measure, rule.slice) is not None]
    rule = next((rule for rule in fixed if rule.measure == PARITY), fixed[0] if fixed else None)
    if rule is not None:
        now = after.value(rule.measure, rule.slice)
        spans += [(f": {inside(rule.title)} {number(rule.measure, rule.value)} → ", False)]
        spans += [(number(rule.measure, now), True)]
    spans += _cost(before, after)
    return (*spans, (".", False))


def _cost(before: Reading, after: Reading) -> list[tuple[str, bool]]:
    spans: list[tuple[str, bool]] = []
    was, now = before.value(ACCURACY), after.value(ACCURACY)
    if was is not None and now is not None:
        spans += [(f", for accuracy {number(ACCURACY, was)} → ", False), (number(ACCURACY, now), True)]
    was, now = before.value(UNFAVOURABLE_SELECTED), after.value(UNFAVOURABLE_SELECTED)
    if was is not None and now is not None:
        spans += [(f" and denied applicants approved {share(was, 0)} → ", False), (share(now, 0), True)]
    return spans


def search_summary(before: Reading, after: Reading) -> str:
    """Return what the search for an alternative kept the same, and how its choice compares with what else passes."""
    tried = (after.document.get("alternatives") or {}).get("tried", [])
    chosen = next((item for item in tried if item.get("chosen")), None)
    if chosen is None:
        return ""
    passing = [item for item in tried if item.get("passes")]
    record = f"{plural(len(tried), 'alternative')} on record, {len(passing)} within every rule{_choice(passing)}."
    return f"{_kept(before, after, chosen)} {record}"


def _choice(passing: Sequence[Mapping[str, Json]]) -> str:
    """Return by which rule one was chosen of those that pass; nothing where it stood alone."""
    if len(passing) < 2:
        return ""
    return "; of those that rank applicants as well as the best, the one that changes the model least was chosen"


def _kept(before: Reading, after: Reading, chosen: Mapping[str, Json]) -> str:
    if chosen.get("family") == "reduction":
        return "Trained under a fairness constraint, which looks at a protected attribute while it trains."
    same_data = before.document["data"]["snapshot"] == after.document["data"]["snapshot"]
    same_parameters = before.document["training"]["parameters"] == after.document["training"]["parameters"]
    dropped = [str(column) for column in chosen.get("dropped") or ()]
    untouched = "No protected attribute was used in training."
    if same_data and same_parameters and not dropped:
        return f"Same parameters, same features, same training data: only the decision threshold moved. {untouched}"
    what = f"Without {listed(dropped)}." if dropped else "Trained with other parameters."
    return f"{what} {untouched}"


def who_may_sign(eligible: Sequence[str], viewer: str | None = None) -> str:
    """Return who may sign for a role; ``viewer`` is the reader's own name where the reader may."""
    others = [name for name in eligible if name != viewer]
    if viewer is not None:
        return (
            f"You may sign. So may {listed(others, 'or')}." if others else "You may sign. Nobody else may in this role."
        )
    if not others:
        return "Nobody may sign in this role: everyone who holds it is involved, or nobody holds it (people.yaml)."
    return f"{listed(others, 'or')} may sign."


def parted(message: str) -> tuple[str, str]:
    """Return the first sentence of a message, and the rest."""
    first, stop, rest = message.partition(". ")
    return (first + stop).strip(), rest.strip()


def direction(spearman: float | None) -> str:
    """Return what more of a feature does, from the rank correlation of its value and its SHAP value."""
    if spearman is None:
        return MISSING
    if abs(spearman) < 0.3:
        return "mixed"
    return "raises" if spearman > 0 else "lowers"
