"""What can go wrong in the folder's ``fit``, each in one sentence that says what to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from governance.catalog import Limits
from governance.errors import InputError

OUTPUT_BYTES = 16 * 1024**2
PROCESSES = 64


class Sentence(NamedTuple):
    """What was found, and what to do about it; both may use the names of :func:`as_error`."""

    found: str
    remedy: str


SENTENCES: Mapping[str, Sentence] = {
    "time": Sentence(
        "it took longer than {seconds} s",
        "Make it faster, or raise training.limits.seconds in model.yaml.",
    ),
    "memory": Sentence(
        "it needed more than {memory_mb} MB",
        "Make it smaller, or raise training.limits.memory_mb in model.yaml.",
    ),
    "output": Sentence("it wrote more than {output_mb} MB of output", "Print less."),
    "processes": Sentence(
        "it started more than {processes} processes", "Fit in this process; several fits run at once already."
    ),
    "exit": Sentence("it called sys.exit({detail})", "Return the model, or raise an exception that says why not."),
    "ended": Sentence(
        "its process ended by itself with exit code {detail}",
        "Return the model, or raise an exception that says why not.",
    ),
    "signal": Sentence(
        "its process was ended by signal {detail}",
        "Signal 9 is often a lack of memory, 11 a fault in compiled code, 24 the processor time.",
    ),
    "lost": Sentence("the process that watches it was stopped", "Do not end processes that fit did not start."),
    "raised": Sentence("{detail}", "Mend it, or the parameters."),
    "no_file": Sentence("no such file", "Write `def fit(frame, params)` there."),
    "no_fit": Sentence("no function of that name", "Write `def fit(frame, params)` there."),
    "no_weights": Sentence(
        "it takes no weights, which reweighing and reductions need", "Write `def fit(frame, params, weights=None)`."
    ),
    "returned": Sentence("it returned {detail}", "{where}"),
    "format": Sentence(
        "what it returned cannot be saved: {detail}",
        "Build the model of scikit-learn's own classes, or return an XGBoost or LightGBM model by itself.",
    ),
}


def as_error(report: Mapping[str, Any], file: Path, limits: Limits) -> InputError:
    """Put a report of the training process into a sentence.

    Args:
        report: ``fault`` (a key of :data:`SENTENCES`), and what there is of ``detail``, ``where`` and ``output``.
        file: The folder's ``train.py``.
        limits: What the call might use.
    """
    values: dict[str, Any] = {
        "detail": _text(report, "detail"),
        "where": _text(report, "where"),
        "seconds": limits.seconds,
        "memory_mb": limits.memory_mb,
        "output_mb": OUTPUT_BYTES // 1024**2,
        "processes": PROCESSES,
    }
    kind = str(report["fault"]) if str(report["fault"]) in SENTENCES else "ended"
    found, remedy = (text.format(**values) for text in SENTENCES[kind])
    beside = [
        "" if kind == "returned" else values["where"],
        _last_output(report) if kind in ("ended", "signal", "exit", "time") else "",
    ]
    said = f"Expected `fit` of {file} to return a model within its limits, found: {found}. {remedy}".rstrip()
    return InputError("\n".join([said, *(part for part in beside if part)]))


def _text(report: Mapping[str, Any], name: str) -> str:
    text = str(report.get(name) or "" if name == "where" else report.get(name, ""))
    return "".join(c for c in text if c.isprintable() or c == "\n")[:2000]


def _last_output(report: Mapping[str, Any]) -> str:
    lines = _text(report, "output").strip().splitlines()[-5:]
    return "Its last output:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
