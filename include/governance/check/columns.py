"""The columns that a spec names, held against those that the data have."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from governance.catalog import ModelSpec, Protected
from governance.check.wording import did_you_mean
from governance.errors import GovernanceError
from governance.yamlfile import Fault, Path_

if TYPE_CHECKING:
    import pandas as pd


def compare(spec: ModelSpec) -> tuple[list[Fault], list[Fault]]:
    """Read the source and return faults (columns, groups that are not there) and notes (columns nobody mentions)."""
    from governance.data.sources import read_source

    try:
        frame = read_source(spec.data.source, spec.folder)
    except GovernanceError as error:
        found = f"The data cannot be read: {error}"
        return [spec.document.fault(("data", "source"), found, "Correct `source:`.")], []
    return against(spec, frame)


def against(spec: ModelSpec, frame: "pd.DataFrame") -> tuple[list[Fault], list[Fault]]:
    """Hold a spec against data that were read; return as :func:`compare`."""
    names = list(frame.columns)
    return [*_missing(spec, names), *_groups(spec, frame)], [*_unmentioned(spec, names)]


def _named(spec: ModelSpec) -> Iterator[tuple[Path_, str, str]]:
    yield ("target", "column"), spec.target.column, "target"
    for column in spec.features:
        yield ("features", column), column, "feature"
    for column in spec.leaks:
        yield ("leaks", column), column, "leak"
    for name, attribute in spec.protected.items():
        for column in attribute.columns:
            yield ("protected", name), column, f"column of `{name}`"


def _missing(spec: ModelSpec, columns: Sequence[str]) -> Iterator[Fault]:
    for path, column, what in _named(spec):
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
    named = {column for _, column, _ in _named(spec)}
    others = [column for column in columns if column not in named]
    if others:
        shown = ", ".join(others[:8]) + (" …" if len(others) > 8 else "")
        found = f"{len(others)} columns of the data are not mentioned: {shown}."
        yield spec.document.fault(("features",), found, "Is one of them a feature, a leak, or protected?")
