"""What no model can be made from or judged on: data that were read, held against what the spec says of them.

Asked alike by ``governance check --data``, ``governance try`` and the first step of the pipeline, before anything is
written. Each fault says what was expected, what was found and what to do, in counts and names of the spec: never a
value of a row, for these sentences go to logs.

Not guaranteed: that the data are as the contract wants them. It is asked afterwards, and knows more.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from governance.catalog import ModelSpec
from governance.errors import InputError, RefusedError
from governance.yamlfile import Fault, FaultyFileError, Path_

if TYPE_CHECKING:
    import pandas as pd

PERSONAL = (
    "Remove it from the source, declare it under `data.personal`, or say under `data.not_personal` why it is none."
)


def usable(spec: ModelSpec, frame: "pd.DataFrame", how: str, *, reviewed: bool = True) -> "pd.DataFrame":
    """Return the data as the pipeline takes them: without faults, personal columns masked.

    Args:
        spec: The model.
        frame: The data as read, with every column that the spec names.
        how: What the policy demands of personal data: ``mask`` or ``refuse``.
        reviewed: Whether the source was reviewed; of another, no column may be told that the spec does not name.

    Raises:
        FaultyFileError: With every fault.
        RefusedError: The data may not be used for this, or hold personal data that they may not.
    """
    from governance.data import personal

    if said := purpose_fault(spec):
        raise RefusedError(said)
    found = list(faults(spec, frame))
    if found:
        raise FaultyFileError(found)
    excused = [*spec.data.personal, *spec.data.not_personal]
    return personal.treat(frame, spec.data.personal, personal.detect(frame, excused), how, named=reviewed)


def purpose_fault(spec: ModelSpec) -> str | None:
    """Return why the purposes of the data do not cover what the model uses them for, or None."""
    if spec.use is None:
        return f"Expected `use` in model.yaml, found none: say which of the data's purposes it is ({_listed(spec)})."
    if spec.use.casefold() not in [purpose.casefold() for purpose in spec.data.purposes]:
        return (
            f"The data may be used for {_listed(spec)}, and the model uses them for `{spec.use}`. Ask their owner, or "
            f"take other data."
        )
    return None


def faults(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    """Yield what is wrong with data, as far as they have the columns that the spec names."""
    empty = {column for _, column, _ in named_columns(spec) if column in frame and frame[column].isna().all()}
    for path, column, what in named_columns(spec):
        if column in empty:
            found = f"Column `{column}`, a {what}, has no value in any of {len(frame):,} rows."
            yield spec.document.fault(path, found, "Correct the source: was the column renamed or filled later?")
    yield from _infinite(spec, frame)
    if spec.data.subject in frame and spec.data.subject not in empty:
        yield from _subject(spec, frame[spec.data.subject])
    if spec.target.column in frame and spec.target.column not in empty:
        yield from _target(spec, frame[spec.target.column])
    yield from _one_group(spec, frame, empty)
    yield from _identifiers(spec, frame)


def undeclared(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    """Yield the columns that look like personal data and are not declared."""
    from governance.data import personal

    for one in personal.detect(frame, [*spec.data.personal, *spec.data.not_personal]):
        path: Path_ = ("features", one.column) if one.column in spec.features else ("data",)
        yield spec.document.fault(path, f"Column `{one.column}` looks like personal data: {one.sentence}.", PERSONAL)


def refused(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    """Yield the declared personal columns that the data have, for a policy that refuses them."""
    for column in spec.data.personal:
        if column in frame:
            found = f"The data have the personal column `{column}`, and the policy says `personal_data: refuse`."
            yield spec.document.fault(("data", "personal", column), found, "Remove it from the source.")


def named_columns(spec: ModelSpec) -> Iterator[tuple[Path_, str, str]]:
    """Yield every column that the spec names: where, which, and as what."""
    yield ("target", "column"), spec.target.column, "target"
    if spec.data.subject:
        yield ("data", "subject"), spec.data.subject, "subject"
    for column in spec.features:
        yield ("features", column), column, "feature"
    for column in spec.leaks:
        yield ("leaks", column), column, "leak"
    for name, attribute in spec.protected.items():
        for column in attribute.columns:
            yield ("protected", name), column, f"column of `{name}`"


def _listed(spec: ModelSpec) -> str:
    return ", ".join(f"`{purpose}`" for purpose in spec.data.purposes)


def _infinite(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    import numpy as np

    for path, column, what in named_columns(spec):
        if column in frame and frame[column].dtype.kind == "f" and (count := int(np.isinf(frame[column]).sum())):
            found = f"Column `{column}`, a {what}, is infinite in {count:,} of {len(frame):,} rows."
            yield spec.document.fault(path, found, "Correct the source: was something divided by zero?")


def _subject(spec: ModelSpec, values: "pd.Series[Any]") -> Iterator[Fault]:
    column, path = spec.data.subject, ("data", "subject")
    if missing := int(values.isna().sum()):
        found = (
            f"The subject `{column}` is missing in {missing:,} of {len(values):,} rows: nobody could find them again."
        )
        yield spec.document.fault(path, found, "Leave these rows out of the source, or say whom they are about.")
    present = values.dropna()
    whole = present.dtype.kind in "iuf" and (present % 1 == 0).all()
    if not whole and not all(isinstance(value, str) for value in present):
        found = f"The subject `{column}` holds neither text nor whole numbers."
        yield spec.document.fault(path, found, "Name a column that identifies a person, such as `application_id`.")


def _target(spec: ModelSpec, values: "pd.Series[Any]") -> Iterator[Fault]:
    column, path = spec.target.column, ("target", "column")
    if missing := int(values.isna().sum()):
        found = f"The target `{column}` is missing in {missing:,} of {len(values):,} rows."
        yield spec.document.fault(path, found, "Leave these rows out of the source: they teach and judge nothing.")
    present = values.dropna()
    if spec.task != "regression" and present.nunique() == 1:
        found = f"The target `{column}` has one class only in all {len(present):,} rows: there is nothing to learn."
        yield spec.document.fault(path, found, "Correct the source: were rows of the other classes left out?")
    elif spec.task == "binary_classification" and not (present == spec.target.favourable).any():
        found = f"The target `{column}` is never {spec.target.favourable!r}, which is favourable here."
        yield spec.document.fault(("target", "favourable"), found, "Correct the value, or the source.")
    elif spec.task == "multiclass_classification":
        yield from _classes(spec, present)
    elif spec.task == "regression":
        yield from _number(spec, present)


def _classes(spec: ModelSpec, present: "pd.Series[Any]") -> Iterator[Fault]:
    column, path, classes = spec.target.column, ("target", "classes"), spec.target.classes or []
    if absent := [one for one in classes if not (present == one).any()]:
        named = ", ".join(f"`{one}`" for one in absent)
        found = f"No row is of class {named} of the target `{column}`."
        yield spec.document.fault(path, found, "Correct the classes, or the source.")
    if stray := int((~present.isin(classes)).sum()):
        found = f"The target `{column}` is none of its classes in {stray:,} of {len(present):,} rows."
        yield spec.document.fault(path, found, "Name every class, or correct the source.")


def _number(spec: ModelSpec, present: "pd.Series[Any]") -> Iterator[Fault]:
    column, path = spec.target.column, ("target", "column")
    if present.dtype.kind not in "if":
        found = f"The target `{column}` of a regression is not a number."
        yield spec.document.fault(path, found, "Name a column of numbers, or correct the source.")
    elif present.nunique() == 1:
        found = f"The target `{column}` has one value only in all {len(present):,} rows: there is nothing to learn."
        yield spec.document.fault(path, found, "Correct the source.")


def _one_group(spec: ModelSpec, frame: "pd.DataFrame", empty: set[str]) -> Iterator[Fault]:
    from governance.data.protected import UNKNOWN, derive

    for name, attribute in spec.protected.items():
        if empty & set(attribute.columns) or not set(attribute.columns) <= set(frame.columns):
            continue  # told already
        path = ("protected", name)
        try:
            groups = derive(frame, {name: attribute})[name]
        except InputError:  # whose words quote a value
            found = f"An indicator of `{name}` ({', '.join(attribute.columns)}) holds something other than 0 and 1."
            yield spec.document.fault(path, found, "For other codes, write {column: …, values: …}.")
            continue
        unknown = int((groups == UNKNOWN).sum())
        if groups[groups != UNKNOWN].nunique() < 2:
            where = ", ".join(f"`{column}`" for column in attribute.columns)
            found = (
                f"Every row is in one group of `{name}` (from {where}; {unknown:,} of {len(groups):,} unknown): there "
                f"is nothing to compare."
            )
            yield spec.document.fault(path, found, "Correct the source: were the other groups left out?")


def _identifiers(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    from governance.data import personal

    looked_at = [column for column in spec.features if column in frame and column not in spec.data.not_personal]
    for column in looked_at:
        if why := personal.identifier(column, frame[column]):
            found = f"Feature `{column}` looks like an identifier of rows: {why}."
            remedy = "Remove this line: a model learns names by heart. Or say under `data.not_personal` why it is none."
            yield spec.document.fault(("features", column), found, remedy)
