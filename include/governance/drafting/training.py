"""The ``train.py`` of a draft, and what model.yaml says of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from governance.catalog import TaskName
from governance.drafting.outcome import Outcome
from governance.drafting.profile import Column

TEMPLATES = Path(__file__).with_name("templates")

LARGE = 10_000
"""From so many rows on, a sealed holdout judges; below, out-of-fold predictions of all rows do."""

TREES = "sklearn.ensemble._hist_gradient_boosting"
LOSSES = {
    "binary_classification": ("HalfBinomialLoss", "LogitLink"),
    "multiclass_classification": ("HalfMultinomialLoss", "MultinomialLogit"),
    "regression": ("HalfSquaredError", "IdentityLink"),
}

CODED = """\
    # Names become numbers; one that was never seen is -1, none at all is -2. The trees cope with any order of them.
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    coded = make_column_transformer((codes, text), remainder="passthrough", verbose_feature_names_out=False)
"""

ONE_HOT = """\
    # A linear model needs a column for each name, something where nothing is recorded, and one scale.
    names = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=20)
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    prepared = make_column_transformer((names, text), remainder=numbers)
    model = make_pipeline(prepared, LogisticRegression(max_iter=2000))
    return model.fit(features, outcome, logisticregression__sample_weight=weights)
"""

LINEAR = """\
    # A linear model needs something where nothing is recorded, and one scale.
    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    model = make_pipeline(filled, StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(features, outcome, logisticregression__sample_weight=weights)
"""


@dataclass(frozen=True)
class Training:
    """How a draft is trained and judged.

    Attributes:
        code: ``train.py``.
        parameters: What ``fit`` gets.
        evaluation: How the estimates are made.
        why: Why so.
        trusted_types: What skops may rebuild of it.
        alternatives: Other parameters that are tried where only fairness rules fail.
    """

    code: str
    parameters: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    why: str
    trusted_types: tuple[str, ...]
    alternatives: tuple[Mapping[str, Any], ...]


def training_of(outcome: Outcome, features: Sequence[Column], rows: int) -> Training:
    """Return how a model of these features is trained."""
    evaluation, why = _evaluation(outcome, rows)
    linear = outcome.task == "binary_classification"
    # A leaf of 20 rows, as scikit-learn has it, would leave a few hundred rows unsplit.
    trees = {"max_iter": 100, "learning_rate": 0.06, "max_leaf_nodes": 15}
    trees["min_samples_leaf"] = max(3, min(20, rows // 20))
    return Training(
        code=_code(outcome, [column.name for column in features if column.kind == "string"]),
        parameters={**({"algorithm": "boosting"} if linear else {}), **trees},
        evaluation=evaluation,
        why=why,
        trusted_types=_trusted(outcome.task),
        alternatives=({"algorithm": "logistic"},) if linear else (),
    )


def _evaluation(outcome: Outcome, rows: int) -> tuple[Mapping[str, Any], str]:
    folds = min(5, outcome.smallest)
    if rows >= LARGE and folds == 5:
        evaluation = {"method": "holdout", "test_share": 0.3, "folds": folds, "repetitions": 3}
        return evaluation, f"{rows:,} rows: 30 % are sealed and judge"
    few = "" if folds == 5 else f"; {folds} folds, since the rarest class has {outcome.smallest} rows"
    why = f"{rows:,} rows: out-of-fold predictions of all of them judge, so that groups are large enough{few}"
    return {"method": "cross_validation", "folds": folds, "repetitions": 3}, why


def _trusted(task: TaskName) -> tuple[str, ...]:
    loss, link = LOSSES[task]
    own = ["link.Interval", f"link.{link}", f"loss.{loss}"]
    return (
        *(f"sklearn._loss.{name}" for name in own),
        f"{TREES}.binning._BinMapper",
        f"{TREES}.predictor.TreePredictor",
    )


def _code(outcome: Outcome, text: Sequence[str]) -> str:
    linear, regression = outcome.task == "binary_classification", outcome.task == "regression"
    estimator = f"HistGradientBoosting{'Regressor' if regression else 'Classifier'}"
    template = Template((TEMPLATES / ("text.py.tmpl" if text else "numbers.py.tmpl")).read_text(encoding="utf-8"))
    code = template.substitute(
        imports=_imports(estimator, bool(text), linear),
        target=_quoted(outcome.column.name),
        text="\n".join(f"    {_quoted(name)}," for name in text),
        what="regressor" if regression else "classifier",
        take_algorithm='algorithm = params.pop("algorithm")' if linear else "",
        body=_body(estimator, bool(text), linear),
    )
    return "\n".join(line for line in code.splitlines() if line.strip(" ") or not line) + "\n"


def _body(estimator: str, text: bool, linear: bool) -> str:
    fitted = f"{estimator}(random_state=seed, **params)"
    if text:
        step = f"{estimator.lower()}__sample_weight"
        trees = f"{CODED}    model = make_pipeline(coded, {fitted})\n"
        trees += f"    return model.fit(features, outcome, {step}=weights)\n"
    else:
        trees = f"    return {fitted}.fit(features, outcome, weights)\n"
    if not linear:
        return trees.rstrip("\n")
    indented = "".join(f"    {line}\n" for line in trees.splitlines())
    return f'    if algorithm == "boosting":\n{indented}{ONE_HOT if text else LINEAR}'.rstrip("\n")


def _imports(estimator: str, text: bool, linear: bool) -> str:
    lines = [("sklearn.ensemble", [estimator])]
    if text:
        lines.append(("sklearn.compose", ["make_column_transformer"]))
    if linear:
        lines += [("sklearn.impute", ["SimpleImputer"]), ("sklearn.linear_model", ["LogisticRegression"])]
    if text or linear:
        lines.append(("sklearn.pipeline", ["make_pipeline"]))
    steps = ["OneHotEncoder", "StandardScaler"] if linear and text else ["StandardScaler"] if linear else []
    steps += ["OrdinalEncoder"] if text else []
    if steps:
        lines.append(("sklearn.preprocessing", sorted(steps)))
    return "\n".join(f"from {module} import {', '.join(names)}" for module, names in sorted(lines))


def _quoted(name: str) -> str:
    """Return a name as Python writes it, in the quotes that a formatter would choose."""
    return json.dumps(name, ensure_ascii=False) if name.isprintable() and "\\" not in name else repr(name)
