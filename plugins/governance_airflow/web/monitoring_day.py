"""What the page says of one window: why it was decided so, what was measured beside its limits, feature by feature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from governance.measures.drift import MATERIAL
from governance.measures.drift_classifier import AUC, MATERIAL_AUC
from governance.monitoring import act
from governance.monitoring.decision import ANSWERS, CUSTOM, LOSS_RISE, PARITY, SHARE
from governance.policyfile import CustomLimit, Monitoring
from governance.records import Measurement
from governance.reports import shapes, timeline, words
from governance_airflow.web.monitoring_history import History, Window

WORDS = {
    "silent": "silent",
    "data_fault": "data fault",
    "too_few": "too few rows",
    "roll_back": "roll back",
    "call": "somebody must look",
    "retrain": "retrain",
    "nothing": "nothing",
}
"""Each action as the page says it."""

FEATURES = 8
"""Features that are listed before one asks for more; all that have drifted are."""


@dataclass(frozen=True)
class Step:
    """One question of the order in which a window is decided.

    Attributes:
        name: What is asked.
        rules: By which rules of a decision its answer was yes.
        actions: … and with which actions.
    """

    name: str
    rules: frozenset[str]
    actions: frozenset[str]


STEPS = (
    Step("Traffic", frozenset({"silent_windows"}), frozenset({"silent"})),
    Step("Data fault", frozenset({"contract", "refused_share"}), frozenset({"data_fault"})),
    Step("Too few rows", frozenset({"minimum_rows"}), frozenset({"too_few"})),
    Step("Measured loss", frozenset({"loss"}), frozenset({"roll_back", "call"})),
    Step("Fairness breach", frozenset({"parity_difference"}), frozenset({"roll_back", "call"})),
    Step("Severe shift", frozenset({"severe_share", "missing"}), frozenset({"roll_back", "call"})),
    Step("Own measures", frozenset({"custom"}), frozenset({"call", "retrain"})),
    Step("No material shift", frozenset({"drifted_share"}), frozenset({"nothing"})),
    Step("Harmless shift", frozenset({"prediction_drift"}), frozenset({"nothing"})),
    Step(
        "Material shift",
        frozenset({"drifted_share", "waiting", "cooldown_days", "retrains_per_month"}),
        frozenset({"retrain", "nothing", "call"}),
    ),
)


def day(found: History, window: Window, airflow: str) -> dict[str, Any]:
    """Return what the template needs of one window.

    Args:
        found: The model it belongs to.
        window: The window.
        airflow: The path of Airflow's own pages.
    """
    data, decision = window.decided.data, window.decision
    features = list(_features(window))
    distributions = list(_distributions(window, [row["name"] for row in features]))
    shown = max(FEATURES, *(place for place, row in enumerate(features, 1) if row["outcome"] == "drifted"), 0)
    return {
        "title": f"{window.until:%a} {words.day(window.until.date().isoformat())}: {WORDS[window.action]}",
        "served": _served(found, window),
        "entry": window.decided.seq,
        "dry": _dry(window),
        "headline": decision["because"][0] if decision["because"] else "",
        "sentences": decision["because"][1:],
        "faults": list(window.seen.data.get("faults") or []) if window.seen else [],
        "warnings": list(window.seen.data.get("warnings") or []) if window.seen else [],
        "failing_rows": str(window.seen.data.get("page") or "") if window.seen else "",
        "steps": list(_asked(found, window)),
        "facts": list(_facts(found, window)),
        "run": str(data.get("run_id") or ""),
        "run_href": _run_href(airflow, f"monitor_{found.model}", str(data.get("run_id"))),
        "started": _started(window, airflow),
        "policy": data["policy"],
        "policy_in_force": data["policy"] == found.policy,
        "target": _target(decision["target"]),
        "measures": list(_measures(found, window)),
        "reference": window.watched.data["reference"] if window.watched else "",
        "features": features[:shown],
        "more": features[shown:],
        "distributions": distributions,
        "why_none": "" if features else _why_none(window),
    }


def _run_href(airflow: str, dag: str, run: str) -> str:
    return f"{airflow}/dags/{quote(dag)}/runs/{quote(run, safe='')}"


def _started(window: Window, airflow: str) -> dict[str, str] | None:
    """Return the run that carries the decision out."""
    order = act.started_by(window.decided)
    return {"name": f"{order[0]}, {order[1]}", "href": _run_href(airflow, *order)} if order else None


def second_opinion(report: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return where Evidently's report is, and of how many rows it is made.

    Args:
        report: What is on record of it.
    """
    if report is None:
        return None
    of = [f"{words.count(taken)} of {words.count(rows)}" if taken < rows else f"all {words.count(rows)}"
          for taken, rows in zip(report["sampled"], report["rows"], strict=True)]  # fmt: skip
    seed = f", seed {report['seed']}" if report["sampled"] != report["rows"] else ""
    return {"href": report["page"], "made_of": f"{of[0]} rows of the reference, {of[1]} of the window{seed}"}


def _served(found: History, window: Window) -> str:
    rows = words.count(window.counted("rows"))
    version = window.decided.data["version"]
    return f"{rows} predictions by {found.model} {version}" if version else "nothing served"


def _dry(window: Window) -> str:
    started = window.action in ("roll_back", "retrain") and window.decided.data["dry_run"]
    return "A dry run (model.yaml): decided and told, but nothing was started." if started else ""


def _target(target: Any) -> str:
    return f"Back to {target['version']}, evidence {target['evidence'][:12]}." if target else ""


def _facts(found: History, window: Window) -> Iterator[tuple[str, str]]:
    data = window.decided.data
    yield "Window", f"{_moment(window.since)} to {_moment(window.until)}"
    yield "Cut-off", f"{_moment(datetime.fromisoformat(data['as_of']))}: what arrived later is not seen"
    if window.seen:
        seen = window.seen.data
        versions = [f"{words.count(n)} by {version}" for version, n in (seen.get("by_version") or {}).items()]
        yield "Rows", words.listed(versions) if versions else "none"
        unknown = int(seen.get("unmatched") or 0)
        labels = f"{words.count(window.counted('labelled'))} rows"
        yield "Labels", f"{labels}; {words.count(unknown)} of unknown requests" if unknown else labels
    yield "Rule", str(window.decision["rule"])
    yield "Decided", f"{_moment(window.decided.at)}, ledger entry {window.decided.seq}"


def _moment(at: datetime) -> str:
    zone = at.strftime("%z")
    shown = "UTC" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:]}"
    return f"{at.day} {at:%b %Y %H:%M} {shown}"


# --- asked in this order -------------------------------------------------------------------------------------------


def _asked(found: History, window: Window) -> Iterator[dict[str, Any]]:
    decision = window.decision
    hit = next(
        (n for n, step in enumerate(STEPS) if decision["rule"] in step.rules and window.action in step.actions), None
    )
    answers = _answers(found, window)
    for number, step in enumerate(STEPS):
        if hit is None or number < hit:
            yield {"name": step.name, "answer": answers[step.name], "hit": False, "asked": True}
        elif number == hit:
            yield {"name": step.name, "answer": WORDS[window.action], "hit": True, "asked": True}
        else:
            yield {"name": step.name, "answer": "not asked", "hit": False, "asked": False}


def _answers(found: History, window: Window) -> dict[str, str]:
    limits, share, answers = found.limits, window.measurement(SHARE), window.measurement(ANSWERS)
    rows = words.count(window.counted("rows"))
    return {
        "Traffic": f"yes · {rows} predictions",
        "Data fault": "no · contract kept",
        "Too few rows": f"no · {rows}" + (f" of {limits.minimum_rows}" if limits else ""),
        "Measured loss": f"no · {_loss(window.measurement(LOSS_RISE))}",
        "Fairness breach": f"no · {_apart(found, window)}",
        "Severe shift": f"no · {_of(share, limits.severe_share if limits else None)}",
        "Own measures": "no · within limits" if limits and (limits.custom or limits.embeddings) else "none limited",
        "No material shift": f"no · {_of(share, limits.drifted_share if limits else None)}",
        "Harmless shift": f"no · {_of(answers, limits.prediction_drift if limits else None)}",
        "Material shift": "",
    }


def _of(one: Measurement | None, limit: float | None) -> str:
    if one is None or one.value is None:
        return "not measured"
    return f"{one.value:.2f} of {limit:.2f}" if limit is not None else f"{one.value:.2f}"


def _loss(one: Measurement | None) -> str:
    if one is None or one.value is None:
        return "too few labels"
    return f"at least {one.low:.3f}".replace("-", "–") if one.low is not None else f"{one.value:.3f}".replace("-", "–")


def _apart(found: History, window: Window) -> str:
    known = [
        (one.value, name)
        for name in window.attributes
        if (one := window.measurement(PARITY, name)) and one.value is not None
    ]
    beyond = [name for name, apart in window.decision["breaches"].items() if apart and name != "loss"]
    times = f" of {found.limits.windows} windows" if found.limits else ""
    if beyond:
        return f"not yet in {found.limits.windows} windows in a row" if found.limits else "not yet in enough windows"
    return f"0{times}" if known else "groups not known"


# --- what was measured, beside its limit ---------------------------------------------------------------------------


def _measures(found: History, window: Window) -> Iterator[dict[str, str]]:
    limits = found.limits
    share, answers, rise = (window.measurement(name) for name in (SHARE, ANSWERS, LOSS_RISE))
    if share:
        beyond = _beyond_share(share, limits)
        said = f"< {limits.drifted_share:.2f} · severe {limits.severe_share:.2f}" if limits else ""
        yield _measure("Feature drift, share", share, said, beyond, 2)
    if answers:
        beyond = _beyond(answers, limits.prediction_drift if limits else None)
        said = f"lower bound ≤ {limits.prediction_drift:.2f}" if limits else ""
        yield _measure("Prediction drift, PSI", answers, said, beyond, 3)
    if rise:
        beyond = _beyond(rise, limits.loss if limits else None)
        yield _measure("Loss rise", rise, f"lower bound ≤ {limits.loss:.3f}" if limits else "", beyond, 3)
    for attribute in window.attributes:
        one = window.measurement(PARITY, attribute)
        if one:
            yield _parity(found, window, attribute, one)
    yield from _own_measures(window, limits)


def _own_measures(window: Window, limits: Monitoring | None) -> Iterator[dict[str, str]]:
    """Yield the numbers of the model folder's ``embedding.py`` and ``drift.py``."""
    for one in window.measured:
        if one.name == AUC:
            name = one.slice.get("embedding", "")
            limit = limits.embeddings.get(name) if limits else None
            told = f"Embedding {name}, AUC" if name else "Embeddings, AUC"
            yield _limited(told, one, limit) if limit else _embedding(told, one, name in window.decision["flagged"])
        elif one.name.startswith(CUSTOM):
            name = one.name.removeprefix(CUSTOM).removeprefix(".")
            yield _limited(f"Own measure {name}".strip(), one, limits.custom.get(name) if limits else None)


def _embedding(name: str, one: Measurement, differs: bool) -> dict[str, str]:
    """Return an embedding beside what makes it one of the features that have drifted."""
    far = None if one.value is None else differs and one.value >= MATERIAL_AUC
    return _measure(name, one, f"< {MATERIAL_AUC:.3f}, or by chance", far, 3)


def _limited(name: str, one: Measurement, limit: CustomLimit | None) -> dict[str, str]:
    if limit is None:
        return _measure(name, one, "", None, 3)
    ends = (("lower bound ≤", limit.at_most), ("upper bound ≥", limit.at_least))
    said = " · ".join(f"{end} {value:g}" for end, value in ends if value is not None)
    return _measure(name, one, said, limit.is_crossed_by(one), 3)


def _beyond_share(share: Measurement, limits: Monitoring | None) -> bool | None:
    return None if share.value is None or limits is None else share.value >= limits.drifted_share


def _beyond(one: Measurement, limit: float | None) -> bool | None:
    return None if one.value is None or limit is None else (one.low if one.low is not None else one.value) > limit


def _parity(found: History, window: Window, attribute: str, one: Measurement) -> dict[str, str]:
    signed = found.signed_of(window, attribute)
    parts = [f"< {found.limits.parity_difference:.2f}"] if found.limits else []
    parts += [f"signed {signed:.3f}"] if signed is not None else ["none on record"]
    beyond = window.decision["breaches"].get(f"unfair {attribute}")
    return _measure(f"Parity, {attribute}", one, " · ".join(parts), beyond, 3)


def _measure(name: str, one: Measurement, limit: str, beyond: bool | None, digits: int) -> dict[str, str]:
    if one.value is None:
        return {"name": name, "n": words.count(one.n), "value": "", "interval": "", "limit": limit, "outcome": "",
                "reason": (one.reason or "").removeprefix("not enough data: ")}  # fmt: skip
    return {
        "name": name,
        "n": words.count(one.n),
        "value": _signed(one.value, digits),
        "interval": _interval(one, digits),
        "limit": limit,
        "outcome": {True: "over", False: "within", None: ""}[beyond],
        "reason": "",
    }


def _interval(one: Measurement, digits: int = 3) -> str:
    if one.low is None or one.high is None:
        return "counted" if one.method == "counted" else words.MISSING
    return f"{_signed(one.low, digits)} – {_signed(one.high, digits)}"


def _signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "–")


# --- feature by feature --------------------------------------------------------------------------------------------

_OF_A_COLUMN = ("psi", "ks", "wasserstein", "chi_square", "missing_change", "p_value")


def features_of(window: Window) -> list[tuple[str, dict[str, Measurement]]]:
    """Return what was measured of each feature, the farthest first: its name, and ``psi``, ``ks`` and others."""
    found: dict[str, dict[str, Measurement]] = {}
    for one in window.measured:
        column, kind = one.slice.get("column"), one.name.removeprefix("drift.")
        if column is not None and kind in _OF_A_COLUMN:
            found.setdefault(column, {})[kind] = one
    return sorted(found.items(), key=lambda item: (-_value(item[1], "psi", -1.0), item[0]))


def _features(window: Window) -> Iterator[dict[str, Any]]:
    flagged, features = set(window.decision["flagged"]), features_of(window)
    if "" in window.shapes:
        yield _answers_row(window)
    most = max((_value(of, "psi", 0.0) for _, of in features), default=0.0)
    for name, of in features:
        psi, p = of.get("psi"), of.get("p_value")
        differs = name in flagged
        far = psi is not None and psi.value is not None and psi.value >= MATERIAL
        yield {
            "name": name,
            **_drawn(window, name, name, _bar(psi, most, "w" if differs and far else "")),
            "psi": _number(psi, 3),
            "ks": _number(of.get("ks"), 3),
            "missing": _percent(of.get("missing_change")),
            "p": _chance(p),
            "outcome": "drifted" if differs and far else "differs" if differs else "",
            "reason": psi.reason if psi and psi.value is None else "" if psi else "its embedding is judged, see above",
        }


def _answers_row(window: Window) -> dict[str, Any]:
    """Return what the model says as a row like a feature's; whether it moved is judged above."""
    psi, ks = window.measurement(ANSWERS), window.measurement("drift.prediction_ks")
    name = "what the model says"
    return {
        "name": name,
        **_drawn(window, "", name, ""),
        "psi": _number(psi, 3),
        "ks": _number(ks, 3),
        "missing": words.MISSING,
        "p": words.MISSING,
        "outcome": None,
        "reason": psi.reason if psi and psi.value is None else "",
    }


def _drawn(window: Window, column: str, name: str, otherwise: str) -> dict[str, str]:
    """Return how a column is drawn, and where it differs most; ``otherwise`` where that is not on record."""
    shape = window.shapes.get(column)
    if shape is None:
        return {"bar": otherwise, "finding": ""}
    return {"bar": shapes.draw(shape, name), "finding": shapes.finding(shape)}


def _bar(psi: Measurement | None, most: float, tone: str) -> str:
    return timeline.against(psi.value, MATERIAL, most, tone) if psi and psi.value is not None else ""


def _distributions(window: Window, order: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the numbers of every drawing, in the order of the features."""
    for name in order:
        shape = window.shapes.get("" if name == order[0] and "" in window.shapes else name)
        if shape is not None:
            rows = [(bin_, words.share(then), words.share(now)) for bin_, then, now in shapes.shares(shape)]
            yield {"name": name, "rows": rows, "n": [words.count(rows) for rows in shape.rows]}


def _value(of: dict[str, Measurement], name: str, absent: float) -> float:
    one = of.get(name)
    return absent if one is None or one.value is None else one.value


def _number(one: Measurement | None, digits: int) -> str:
    if one is None or one.value is None:
        return words.MISSING
    return _signed(one.value, digits) if abs(one.value) < 1e5 else f"{one.value:.1e}".replace("e+0", "e")


def _percent(one: Measurement | None) -> str:
    if one is None or one.value is None:
        return words.MISSING
    return f"{'+' if one.value > 0 else ''}{100 * one.value:.1f} %".replace("-", "–")


def _chance(one: Measurement | None) -> str:
    if one is None or one.value is None:
        return words.MISSING
    return "< 0.001" if one.value < 0.001 else f"{one.value:.3f}"


def _why_none(window: Window) -> str:
    reasons: Sequence[tuple[bool, str]] = (
        (window.watched is None, "What was measured of this window is not on record."),
        (window.action == "silent", "Nothing was asked of the model, so nothing was measured."),
        (window.action == "data_fault", "Nothing is measured of data that break the contract."),
    )
    return next((said for applies, said in reasons if applies), "No feature was measured.")
