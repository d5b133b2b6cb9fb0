"""Whether a candidate can be followed back to raw data, and what it brings along from there.

Pure functions over what a walk found (:mod:`governance.lineage.trace`). Where something is wrong, the measurement names
it in its reason, beside its value.
"""

from governance.lineage.trace import Marked, Trace, told
from governance.records import Measurement

NO_PIPELINE = "not applicable: no pipeline: no task ran, so none said what it read and wrote"

NAMES = ("lineage.completeness", "lineage.identifier_features", "lineage.unpurposed_features")


def no_pipeline() -> list[Measurement]:
    """Return what is said where no pipeline ran, as with ``governance try``."""
    return [Measurement(name, None, 0, reason=NO_PIPELINE) for name in NAMES]


def measure_lineage(trace: Trace) -> list[Measurement]:
    """Measure what a walk back from a candidate found.

    Args:
        trace: The walk.

    Returns:
        ``completeness``, ``identifier_features`` and ``unpurposed_features``.
    """
    return [completeness(trace), identifier_features(trace), unpurposed_features(trace)]


def completeness(trace: Trace) -> Measurement:
    """Share of the links from the candidate back to raw data that the tasks told of.

    Formula: links that are there, divided by all: each data set on the way was written by a task that said so, each
    version is known, and each feature is made of columns from outside. n is the number of links.
    Source: counted; why it is asked is in section 8 of the design and in OpenLineage's issue 4035.
    Ideal: 1.
    Limits: what a task says is believed; a task that lies is not found.
    """
    return Measurement(
        "lineage.completeness",
        trace.completeness,
        trace.links,
        method="counted",
        reason=" ".join(trace.missing) or None,
    )


def identifier_features(trace: Trace) -> Measurement:
    """Number of features that are made of a direct identifier, under whatever name.

    Formula: features from which a walk back over columns, those of other teams' jobs included, meets one that is marked
    ``IDENTIFIER``; our own mask, which keeps whether there was a value, ends the walk, a hash does not.
    Source: counted; Regulation (EU) 2016/679, articles 4(5) and 5(1)(c).
    Ideal: 0.
    Limits: what nobody marked is not found.
    """
    return _number("lineage.identifier_features", trace, trace.identifiers)


def unpurposed_features(trace: Trace) -> Measurement:
    """Number of features that are made of personal data which were collected for another purpose.

    Formula: features from which a walk back meets a column marked ``PII`` whose purposes (``PURPOSE``, of the column,
    else of its data set, else of model.yaml for what it reads itself) do not name the model's use.
    Source: counted; Regulation (EU) 2016/679, article 5(1)(b).
    Ideal: 0.
    Limits: purposes are compared as words; whether one is compatible with another is a lawyer's question.
    """
    return _number("lineage.unpurposed_features", trace, trace.unpurposed)


def _number(name: str, trace: Trace, found: tuple[Marked, ...]) -> Measurement:
    said = f"{told(found)}." if found else None
    return Measurement(name, len(found), trace.links, method="counted", reason=said)
