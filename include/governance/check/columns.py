"""The columns that a spec names, held against those that the data have."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from governance.catalog import ModelSpec, Protected
from governance.check import data
from governance.check.wording import did_you_mean
from governance.errors import GovernanceError
from governance.yamlfile import Fault, FaultyFileError

if TYPE_CHECKING:
    import pandas as pd


def compare(spec: ModelSpec, how: str | None = None, *, contract: bool = False) -> tuple[list[Fault], list[Fault]]:
    """Read the source and return faults (columns, groups that are not there) and notes (columns nobody mentions).

    Args:
        spec: The model.
        how: What its policy demands of personal data, where that is known.
        contract: Also run the contract, which takes seconds.
    """
    from governance.data.sources import read_source

    try:
        frame = read_source(spec.data.source, spec.folder)
    except GovernanceError as error:
        found = f"The data cannot be read: {error}"
        return [spec.document.fault(("data", "source"), found, "Correct `source:`.")], []
    faults, notes = against(spec, frame, how)
    if contract and not any(_missing(spec, list(frame.columns))):
        faults += _breaches(spec, frame)
    return faults, notes


def against(spec: ModelSpec, frame: "pd.DataFrame", how: str | None = None) -> tuple[list[Fault], list[Fault]]:
    """Hold a spec against data that were read; return as :func:`compare`."""
    names = list(frame.columns)
    found = [*_missing(spec, names), *_groups(spec, frame), *data.faults(spec, frame), *data.undeclared(spec, frame)]
    if how == "refuse":
        found += data.refused(spec, frame)
    return found, [*_unmentioned(spec, names)]


def accepted(spec: ModelSpec, frame: "pd.DataFrame", how: str) -> "pd.DataFrame":
    """Return data as the pipeline would take them, with personal columns masked.

    Args:
        spec: The model.
        frame: The data as read.
        how: What the policy demands of personal data: ``mask`` or ``refuse``.

    Raises:
        FaultyFileError: With every fault.
    """
    from governance.data.personal import treat

    faults, _ = against(spec, frame, how)
    if faults:
        raise FaultyFileError(faults)
    return treat(frame, spec.data.personal, [], how)


def _breaches(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    from governance.check.files import line_of
    from governance.data.contracts import run_contract
    from governance.data.personal import treat

    try:
        result = run_contract(treat(frame, spec.data.personal, [], "mask"), spec.contract)
    except GovernanceError as error:
        yield Fault(spec.contract, 1, str(error), "Correct the contract.")
        return
    for number, one in enumerate(result.expectations, start=1):
        if one.blocks:
            remedy = "Correct the data, or what the contract expects."
            yield Fault(spec.contract, line_of(spec.contract, number), f"{one.sentence}.", remedy)


def _missing(spec: ModelSpec, columns: Sequence[str]) -> Iterator[Fault]:
    for path, column, what in data.named_columns(spec):
        if column not in columns:
            remedy = did_you_mean(column, columns, "Correct the name, or remove it.")
            yield spec.document.fault(path, f"The data have no column `{column}`, which is a {what} here.", remedy)


def _groups(spec: ModelSpec, frame: "pd.DataFrame") -> Iterator[Fault]:
    for name, attribute in spec.protected.items():
        for group, found in _empty(attribute, frame):
            remedy = "Correct the value: these rows would count as unknown."
            yield spec.document.fault(
                ("protected", name), f"No row is in group `{group}` of `{name}`: {found}.", remedy
            )


def _empty(attribute: Protected, frame: "pd.DataFrame") -> Iterator[tuple[str, str]]:
    for group, column in (attribute.indicators or {}).items():
        if column in frame and not (frame[column] == 1).any():
            yield group, f"`{column}` is never 1"
    if (source := attribute.column) in frame:
        for group, value in (attribute.values or {}).items():
            if not (frame[source] == value).any():
                yield group, f"`{source}` is never {value!r}, but {_some(frame[source])}"
        if attribute.bands:
            yield from _empty_bands(attribute, frame)


def _empty_bands(attribute: Protected, frame: "pd.DataFrame") -> Iterator[tuple[str, str]]:
    from governance.data.protected import band_names, derive

    try:
        found = set(derive(frame, {"it": attribute})["it"])
    except GovernanceError:
        yield "any", f"`{attribute.column}` holds no numbers to cut into bands"
        return
    for group in band_names(attribute.bands or []):
        if group not in found:
            yield group, f"`{attribute.column}` is never there"


def _some(values: Any) -> str:
    present = [repr(getattr(value, "item", lambda v=value: v)()) for value in values.dropna().unique()[:4]]
    return ", ".join(present) or "always missing"


def _unmentioned(spec: ModelSpec, columns: Sequence[str]) -> Iterator[Fault]:
    named = {column for _, column, _ in data.named_columns(spec)} | set(spec.data.personal)
    others = [column for column in columns if column not in named]
    if others:
        shown = ", ".join(others[:8]) + (" …" if len(others) > 8 else "")
        found = f"{len(others)} columns of the data are not mentioned: {shown}."
        yield spec.document.fault(("features",), found, "Is one of them a feature, a leak, or protected?")
