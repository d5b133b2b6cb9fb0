"""``governance fairness``: the measurements of a file of predictions, whoever made them, without a model folder.

It measures and does not judge: the exit code is 0 whatever was found. A row of the file is one person, or as many as a
column of counts says, so that a published table can be typed in and measured as it stands.

Values are compared as text: 1, 1.0 and "1" are the same. What is favourable is never guessed: 0 and 1 (or false and
true) mean what they say, anything else has to be named.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.check.wording import did_you_mean
from governance.commands.answer import NONE, Answer, line
from governance.errors import InputError
from governance.measures import fairness as measures
from governance.measures import local_law_144 as law
from governance.measures.catalogue import MEASURES
from governance.measures.fairness_regression import measure_regression_fairness
from governance.records import Measurement
from governance.reports.words import listed, plural, slice_words

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

BINARY, CLASSES, REGRESSION = "binary_classification", "multiclass_classification", "regression"
TASKS = (BINARY, CLASSES, REGRESSION)

ALL, NOBODY = "all", "none"
JOINS = ("×", "*", ",")
"""What may stand between the attributes of an intersection."""

MOST_CROSSED = 8
"""With more attributes than these, every intersection would be hundreds; they are named then."""

FOUR_FIFTHS = 0.8
"""29 CFR 1607.4(D): below, a selection rate counts as evidence of adverse impact. Marked here, judged nowhere."""

BOOLEANS = {"0": 0, "1": 1, "false": 0, "true": 1}

SHORT = {
    "selection_rate": "selected",
    "true_positive_rate": "TPR",
    "false_positive_rate": "FPR",
    "false_negative_rate": "FNR",
    "precision": "prec.",
    "accuracy": "acc.",
}
"""Heads of columns that leave room for numbers."""


@dataclass(frozen=True)
class Question:
    """What is asked of a file; the options of the command.

    Attributes:
        file: A path or a source as in ``model.yaml``.
        label: Column of what came true.
        prediction: Column of what was predicted.
        score: Column of scores, for Local Law 144.
        count: Column that says how many people a row stands for.
        protected: Columns of protected attributes.
        intersections: ``race×sex`` each, or ``all``, or ``none``; all where empty.
        favourable: Values that are favourable.
        unknown: Values that mean that membership is not known.
        task: One of :data:`TASKS`.
        minimum_n: Groups of fewer rows are not compared.
        local_law_144: Whether the tables of the bias audit are asked for.
        exclude_small: Whether categories under 2 % are left out of its impact ratios.
        partly_known: Whether a person of unknown race still counts by sex in these tables.
        decimals: With how many decimals people see its rates and ratios.
    """

    file: str
    label: str | None
    prediction: str | None
    score: str | None
    count: str | None
    protected: Sequence[str]
    intersections: Sequence[str]
    favourable: Sequence[str]
    unknown: Sequence[str]
    task: str
    minimum_n: int
    local_law_144: bool
    exclude_small: bool
    partly_known: bool
    decimals: int


@dataclass(frozen=True)
class People:
    """The rows of a file, as measures take them.

    Attributes:
        frame: The columns of the file.
        groups: Protected attribute → group of each row.
        crossed: Which attributes are crossed with each other.
        left_out: Intersections that have too many groups.
        counts: How many people each row stands for; ``None`` for one each.
    """

    frame: "pd.DataFrame"
    groups: Mapping[str, Any]
    crossed: Sequence[tuple[str, ...]]
    left_out: Sequence[tuple[str, ...]]
    counts: Any


def fairness(asked: Question) -> Answer:
    """Answer with the measurements of a file of predictions, by group, by intersection and between groups.

    Raises:
        InputError: The file, a column, a value or a combination of options cannot be used.
    """
    _check(asked)
    people = _read(asked)
    found = _measure(asked, people) if asked.prediction else []
    audits = _audits(asked, people) if asked.local_law_144 else {}
    document: dict[str, Any] = {"measurements": [measurement.to_dict() for measurement in found]}
    if audits:
        document["local_law_144"] = {name: audit.to_dict() for name, audit in audits.items()}
    if people.left_out:
        document["not_crossed"] = [list(names) for names in people.left_out]
    return Answer(document, lambda out: _show(out, asked, people, found, audits))


# --- what was asked ------------------------------------------------------------------------------------------------


def _check(asked: Question) -> None:
    if asked.task not in TASKS:
        raise InputError(f"Expected --task as {listed(TASKS, 'or')}, found {asked.task!r}.")
    if not asked.protected:
        raise InputError("Expected --protected COLUMN, once for each protected attribute, found none.")
    if asked.score and not asked.local_law_144:
        raise InputError(
            "--score is for --local-law-144, which compares scores with their median. Add it, or leave both."
        )
    if not asked.prediction and not asked.score:
        raise InputError("Expected --prediction COLUMN (or --score COLUMN with --local-law-144), found neither.")
    if asked.local_law_144 and asked.task == REGRESSION and not asked.score:
        raise InputError("Local Law 144 compares selections, or scores: name the predicted numbers with --score, too.")
    if asked.local_law_144 and asked.task == CLASSES and not asked.favourable and not asked.score:
        raise InputError("Local Law 144 compares who is selected: say which classes are, with --favourable.")
    if asked.task == REGRESSION and (asked.favourable or asked.count):
        raise InputError("--favourable and --count are for decisions: a predicted number has no favourable value.")
    if asked.task == CLASSES and not asked.favourable and asked.prediction and not asked.label:
        raise InputError("Classes of which none is favourable are compared by accuracy: name the label with --label.")


def _intersections(asked: Question, groups: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the intersections that are measured, and those that have too many groups to be."""
    written = list(asked.intersections) or [ALL]
    if written == [NOBODY]:
        return [], []
    if written == [ALL]:
        if len(groups) > MOST_CROSSED:
            raise InputError(
                f"All intersections of {len(groups)} attributes are {2 ** len(groups) - len(groups) - 1}. Name those "
                f"that matter: --intersection {JOINS[0].join(list(groups)[:2])}, or --intersection none."
            )
        return measures.every_intersection(groups)
    return [_intersection(text, list(groups)) for text in written], []


def _intersection(text: str, known: list[str]) -> tuple[str, ...]:
    parts = [text]
    for join in JOINS:
        parts = [piece for part in parts for piece in ([part] if part in known else part.split(join))]
    names = tuple(part.strip() for part in parts)
    if len(set(names)) < 2 or len(set(names)) < len(names) or not set(names) <= set(known):
        raise InputError(
            f"Expected --intersection as two or more of the protected attributes ({', '.join(known)}) joined by ×, * "
            f"or a comma, or `all` or `none`; found {text!r}."
        )
    return names


# --- the file ------------------------------------------------------------------------------------------------------


def _read(asked: Question) -> People:
    from governance.data.sources import read_source

    if ":" not in asked.file and not Path(asked.file).is_file():
        raise InputError(f"Expected a file of predictions at {asked.file}, found none.")
    frame = read_source(asked.file, Path())
    options = {"--label": asked.label, "--prediction": asked.prediction, "--score": asked.score, "--count": asked.count}
    for option, name in [*options.items(), *(("--protected", name) for name in asked.protected)]:
        if name is not None and name not in frame.columns:
            raise _no_column(asked.file, option, name, list(frame.columns))
    for option, name in options.items():
        if name is not None and name in asked.protected:
            raise InputError(
                f"Expected --protected to be another column than {option}, found {name!r} for both: every group would "
                f"be told apart from itself. Name the columns that say what groups people belong to."
            )
    unknown = {measures.UNKNOWN, *(value.casefold() for value in asked.unknown)}
    groups = {name: _groups(frame[name], unknown) for name in dict.fromkeys(asked.protected)}
    counts = _counts(frame, asked.count) if asked.count else None
    return People(frame, groups, *_intersections(asked, groups), counts)


def _counts(frame: "pd.DataFrame", column: str) -> Any:
    try:
        return measures.whole_counts(frame[column], len(frame))
    except InputError as error:
        raise InputError(f"Column {column!r} (--count): {error}") from error


def _no_column(file: str, option: str, name: str, there: list[str]) -> InputError:
    shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    hint = did_you_mean(name, there, "")
    return InputError(f"Expected a column {name!r} in {file} ({option}), found {shown}.{' ' if hint else ''}{hint}")


def _texts(values: "pd.Series") -> tuple[Any, list[str]]:
    """Return the value of each row as a number (−1 where there is none), and what the numbers stand for, as text."""
    import numpy as np
    import pandas as pd

    codes, found = pd.factorize(values)
    texts = [_text(value) for value in found]
    names = list(dict.fromkeys(texts))
    position = np.array([-1, *(names.index(text) for text in texts)])
    return position[codes + 1], names


def _text(value: Any) -> str:
    """A whole number is the same value whether or not some other row made its column a float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _groups(values: "pd.Series", unknown: set[str]) -> Any:
    import numpy as np
    import pandas as pd

    codes, names = _texts(values)
    known = [name for name in names if name.casefold() not in unknown]
    if len(known) > measures.MOST_GROUPS:
        raise InputError(
            f"Expected a protected attribute with few groups, found {len(known)} values in {values.name!r}. "
            f"Name a column of groups, such as age bands."
        )
    position = {name: number for number, name in enumerate(known)}
    places: Any = np.array([-1, *(position.get(name, -1) for name in names)])
    return pd.Categorical.from_codes(places[codes + 1], pd.Index(known, dtype=object))


def _missing(values: "pd.Series", column: str) -> None:
    empty = values.isna().to_numpy().nonzero()[0]
    if len(empty):
        raise InputError(
            f"Expected a value in {column!r} in every row, found none in {plural(len(empty), 'row')}, the first of "
            f"them row {empty[0] + 1}. Leave such rows out, or leave the option out where values are not known."
        )


# --- what is measured ----------------------------------------------------------------------------------------------


def _measure(asked: Question, people: People) -> list[Measurement]:
    options: dict[str, Any] = {"minimum_n": asked.minimum_n}
    if asked.task == REGRESSION:
        label = None if asked.label is None else _numbers(people.frame, asked.label)
        predicted = _numbers(people.frame, str(asked.prediction))
        return measure_regression_fairness(label, predicted, people.groups, people.crossed, **options)
    options["counts"] = people.counts
    if asked.task == CLASSES and not asked.favourable:
        return measures.measure_accuracy_fairness(_right(asked, people), people.groups, people.crossed, **options)
    decided = _decisions(asked, people.frame)
    return measures.measure_fairness(
        decided.get(asked.label), decided[asked.prediction], people.groups, people.crossed, **options
    )


def _numbers(frame: "pd.DataFrame", column: str) -> Any:
    import pandas as pd

    _missing(frame[column], column)
    if not pd.api.types.is_numeric_dtype(frame[column]):
        raise InputError(f"Expected numbers in {column!r}, found {frame[column].iloc[0]!r}.")
    return frame[column].to_numpy(dtype="float64")


def _right(asked: Question, people: People) -> Any:
    import numpy as np

    sides = []
    for column in (str(asked.label), str(asked.prediction)):
        _missing(people.frame[column], column)
        sides.append(_texts(people.frame[column]))
    (truth, classes), (predicted, answers) = sides
    if not set(classes) & set(answers):
        raise InputError(
            f"Expected the same classes in {asked.label!r} and {asked.prediction!r}, found {_some(classes)} and "
            f"{_some(answers)}: no prediction could be right."
        )
    position = {name: number for number, name in enumerate(classes)}
    return truth == np.array([position.get(name, -1) for name in answers])[predicted]


def _decisions(asked: Question, frame: "pd.DataFrame") -> dict[str | None, Any]:
    """Return label and prediction as 0 and 1 (favourable), by column."""
    import numpy as np

    columns = [column for column in (asked.label, asked.prediction) if column is not None]
    for column in columns:
        _missing(frame[column], column)
    coded = {column: _texts(frame[column]) for column in columns}
    meant = _meaning(asked, {column: names for column, (_, names) in coded.items()})
    return {
        column: np.array([meant[column][name] for name in names], dtype=np.uint8)[codes]
        for column, (codes, names) in coded.items()
    }


def _meaning(asked: Question, found: Mapping[str, list[str]]) -> dict[str, dict[str, int]]:
    """Return for each column what each of its values means: 0, or 1 where it is favourable."""
    if not asked.favourable:
        for column, names in found.items():
            if not ({"0", "1"}.issuperset(names) or {"false", "true"}.issuperset(map(str.casefold, names))):
                raise InputError(_not_binary(column, names))
        return {column: {name: BOOLEANS[name.casefold()] for name in names} for column, names in found.items()}
    everything = {name for names in found.values() for name in names}
    if stray := [value for value in asked.favourable if value not in everything]:
        raise InputError(
            f"Expected --favourable to be a value of {listed(list(found))}, found {stray[0]!r}. "
            f"They hold {_some(sorted(everything))}."
        )
    for column, names in found.items():
        if len(names) > 2 and asked.task == BINARY:
            raise InputError(_not_binary(column, names))
        others = {name for other, there in found.items() if other != column for name in there}
        if not set(names) & set(asked.favourable) and not set(names) <= others:
            raise InputError(
                f"None of the favourable values ({', '.join(asked.favourable)}) is in {column!r}, which holds "
                f"{_some(names)}. Name its favourable value, too: --favourable may be repeated."
            )
    return {column: {name: int(name in asked.favourable) for name in names} for column, names in found.items()}


def _not_binary(column: str, names: list[str]) -> str:
    shown = _some(names)
    if len(names) <= 2:
        either = " or ".join(f"--favourable {_quoted(name)}" for name in names)
        return f"Expected 0 and 1 in {column!r}, found {shown}. Say which is favourable: {either}."
    return (
        f"Expected two values in {column!r}, found {len(names)}: {shown}. For classes, add --task {CLASSES} "
        f"(with --favourable where some are); for numbers, --task {REGRESSION}."
    )


def _some(names: Sequence[str]) -> str:
    shown = [repr(name) for name in list(names)[:5]]
    return listed([*shown, f"{len(names) - 5} more"] if len(names) > 5 else shown)


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _audits(asked: Question, people: People) -> dict[str, law.BiasAudit]:
    options: dict[str, Any] = {
        "counts": people.counts,
        "exclude_below": law.SMALL if asked.exclude_small else 0,
        "partly_known": asked.partly_known,
    }
    found = {}
    if asked.prediction and asked.task != REGRESSION and (asked.task == BINARY or asked.favourable):
        selected = _decisions(asked, people.frame)[asked.prediction]
        found["selection"] = law.audit_selection(selected, people.groups, people.crossed, **options)
    if asked.score:
        scores = _numbers(people.frame, asked.score)
        found["scoring"] = law.audit_scores(scores, people.groups, people.crossed, **options)
    return found


# --- for people ----------------------------------------------------------------------------------------------------


def _show(
    out: "Console",
    asked: Question,
    people: People,
    found: Sequence[Measurement],
    audits: Mapping[str, law.BiasAudit],
) -> None:
    line(out, _title(asked, people), style="bold")
    slices = {measure.slice["attribute"]: None for measure in found if "attribute" in measure.slice}
    for attribute in slices:
        of_groups = [m for m in found if "attribute" not in m.slice and measures.TIMES.join(m.slice) == attribute]
        out.print()
        out.print(_group_table(attribute, of_groups, asked.minimum_n))
        out.print()
        out.print(_between_table([m for m in found if m.slice == {"attribute": attribute}]))
    for note in _notes(asked, people, found):
        out.print()
        out.print(note)
    for audit in audits.values():
        _show_audit(out, audit, list(people.groups), asked)


def _title(asked: Question, people: People) -> str:
    n = len(people.frame) if people.counts is None else int(people.counts.sum())
    rows = f"{n:,} {'people' if people.counts is not None else 'row' if n == 1 else 'rows'}"
    columns = {"prediction": asked.prediction, "score": asked.score, "label": asked.label}
    named = ", ".join(f"{what} {column}" for what, column in columns.items() if column)
    favourable = f", favourable {' or '.join(asked.favourable)}" if asked.favourable else ""
    return f"{asked.file}: {rows}, {named}{favourable}"


def _notes(asked: Question, people: People, found: Sequence[Measurement]) -> list[str]:
    notes = []
    if any(m.name == "fairness.selection_rate" for m in found):
        notes.append(
            "Rates are in %; TPR and FNR of the rows whose label is favourable, FPR of the others.\n"
            "The ratio is the group's selection rate beside that of the most selected group;\n"
            "below four fifths (< 4/5) it counts as evidence of adverse impact (29 CFR 1607.4(D))."
            if asked.label
            else "Selection rates are in %; the ratio is beside the most selected group. Below four fifths\n"
            "(< 4/5) it counts as evidence of adverse impact (29 CFR 1607.4(D))."
        )
    if found and any(m.n < asked.minimum_n for m in found if "attribute" not in m.slice and m.reason is None):
        notes.append(f"* fewer than {asked.minimum_n}: reported, compared with nobody.")
    if found and not asked.label:
        notes.append("Without --label nothing is known of errors: only predictions are measured.")
    if people.left_out:
        crossed = [measures.TIMES.join(names) for names in people.left_out]
        notes.append(f"Not crossed, for they have more than {measures.MOST_GROUPS:,} groups: {listed(crossed)}.")
    return notes


def _table(*columns: str, left: int = 1) -> "Table":
    """Return a table that is as narrow as its numbers; all columns but the first ones stand to the right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for position, name in enumerate(columns):
        is_text = position < left
        made.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    return made


def _group_table(attribute: str, of_groups: Sequence[Measurement], minimum_n: int) -> "Table":
    by_group: dict[tuple[str, ...], dict[str, Measurement]] = {}
    for measurement in of_groups:
        group = by_group.setdefault(tuple(measurement.slice.values()), {})
        group[measurement.name.partition(".")[2]] = measurement
    known = [
        name for name in next(iter(by_group.values())) if not all(_unasked(each[name]) for each in by_group.values())
    ]
    rates = [name for name in known if name != "impact_ratio"]
    made = _table(attribute, "n", *(_head(name) for name in rates), *(["ratio", ""] if "impact_ratio" in known else []))
    for group in by_group.values():
        first = group[rates[0]]
        size = max(measurement.n for measurement in group.values())
        mark = "*" if size < minimum_n else ""
        cells = [slice_words(first.slice), f"{size:,}{mark}", *(_rate(group[name]) for name in rates)]
        if "impact_ratio" in known:
            ratio = group["impact_ratio"].value
            low = ratio is not None and ratio < FOUR_FIFTHS
            cells += [decimals(ratio, 3), "< 4/5" if low else ""]
            made.add_row(*cells, style="bold red" if low else None)
        else:
            made.add_row(*cells)
    return made


def _unasked(measurement: Measurement) -> bool:
    return measurement.reason == measures.NO_LABELS


def _head(name: str) -> str:
    return SHORT.get(name) or MEASURES[f"fairness.{name}"].title.lower()


def _rate(measurement: Measurement) -> str:
    if measurement.value is None:
        return NONE
    if MEASURES[measurement.name].unit == "share":
        return decimals(measurement.value, 2, 100)
    if measurement.low is None or measurement.high is None:
        return f"{measurement.value:.5g}"
    half = measurement.high - measurement.value
    places = min(max(1 - math.floor(math.log10(half)), 2), 6) if half > 0 else 2  # two digits of the margin
    return f"{measurement.value:,.{places}f} ± {half:,.{places}f}"


def _between_table(between: Sequence[Measurement]) -> "Table":
    made = _table("between groups", "number", "95 % interval", "n", "")
    made.columns[-1].justify = "left"
    made.columns[-1].no_wrap = False
    for measurement in between:
        if _unasked(measurement):
            continue
        style = None
        note = _short(measurement.reason) if measurement.reason else ""
        if measurement.name == "fairness.disparate_impact_ratio" and (measurement.value or 1) < FOUR_FIFTHS:
            note, style = "< 4/5", "bold red"
        if measurement.name == "fairness.selection_rate_z" and measurement.value is not None:
            note = f"p {_p_value(measurement.value)}"
        made.add_row(
            MEASURES[measurement.name].title,
            _between_number(measurement, measurement.value),
            _interval(measurement),
            f"{measurement.n:,}",
            note,
            style=style,
        )
    return made


def _between_number(measurement: Measurement, value: float | None) -> str:
    if value is not None and MEASURES[measurement.name].unit in ("amount", "number"):
        return f"{value:.5g}"
    return decimals(value, 4)


def _interval(measurement: Measurement) -> str:
    if measurement.low is None and measurement.high is None:
        return ""
    return f"{_between_number(measurement, measurement.low)} to {_between_number(measurement, measurement.high)}"


def _short(reason: str) -> str:
    return "not enough data" if reason.startswith("not enough data") else reason


def _p_value(z: float) -> str:
    p = math.erfc(z / math.sqrt(2))
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.0e}" if p > 0 else "< 1e-300"


def decimals(value: float | None, places: int, times: int = 1) -> str:
    """Return a number with so many decimals, halves rounded up as in published tables; a dash where there is none."""
    if value is None:
        return NONE
    exact = Decimal(repr(value)) * times
    return str(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def _show_audit(out: "Console", audit: law.BiasAudit, attributes: list[str], asked: Question) -> None:
    rate = "scoring rate" if audit.scored else "selection rate"
    of = f"scoring rates above the median {audit.median:g}" if audit.median is not None else "selection rates"
    out.print()
    out.print(f"New York City Local Law 144 (6 RCNY § 5-301): {of}", style="bold")
    for table in audit.tables:
        out.print()
        out.print(_audit_table(table, rate, audit.scored, asked.decimals))
        if table.unknown and asked.partly_known:
            out.print(f"Not included, because {listed(table.attributes, 'or')} is unknown: {table.unknown:,}.")
    out.print()
    whose = f"{listed(attributes, 'or')} is unknown"
    if asked.partly_known:
        out.print(f"Assessed: {audit.assessed:,} people; of {audit.unknown:,} of them, {whose}.")
    else:
        out.print(f"Assessed: {audit.assessed:,} people; not included, because {whose}: {audit.unknown:,}.")
    if any(category.excluded for table in audit.tables for category in table.categories):
        out.print("Left out of the impact ratios: categories under 2 % of the data, § 5-301(d).")
    elif any(category.is_small for table in audit.tables for category in table.categories):
        out.print("* under 2 % of the data: may be left out, § 5-301(d), with --exclude-small.")


def _audit_table(table: law.AuditTable, rate: str, scored: bool, places: int) -> "Table":
    made = _table(
        measures.TIMES.join(table.attributes),
        "applicants",
        "above median" if scored else "selected",
        rate,
        "impact ratio",
    )
    for category in table.categories:
        small = "*" if category.is_small and not category.excluded else ""
        ratio = "left out" if category.excluded else _ratio(category, places)
        made.add_row(
            measures.TIMES.join(category.groups),
            f"{category.applicants:,}{small}",
            f"{category.selected:,}",
            f"{law.rounded(category.rate * 100, max(places - 2, 0))} %",
            ratio,
        )
    return made


def _ratio(category: law.Category, places: int) -> str:
    return NONE if category.impact_ratio is None else law.rounded(category.impact_ratio, places)
