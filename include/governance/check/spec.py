"""What ``model.yaml`` says, held against itself and against ``people.yaml``."""

from collections.abc import Iterator

from governance.catalog import ModelSpec, People, Protected
from governance.check import data
from governance.check.wording import did_you_mean
from governance.data.sources import lines
from governance.errors import InputError
from governance.yamlfile import Fault, Path_

TIMES = " × "
"""Joins the attributes of an intersection in measurements; an attribute's own name must not look like one."""


def faults(spec: ModelSpec) -> Iterator[Fault]:
    """Yield what is wrong with a spec by itself."""
    yield from _use(spec)
    yield from _personal(spec)
    yield from _subject(spec)
    yield from _target(spec)
    yield from _features(spec)
    yield from _grants(spec)
    yield from _proxies(spec)
    for name, attribute in spec.protected.items():
        yield from _attribute(spec, name, attribute)
    yield from _intersections(spec)
    yield from _search(spec)
    yield from _retraining(spec)


def people(spec: ModelSpec, known: People) -> Iterator[Fault]:
    """Yield the logins that ``people.yaml`` does not have: nobody could say who may not sign."""
    logins = [person.login for person in known.everyone]
    named: list[tuple[Path_, str]] = [(("owner", "person"), spec.owner.person)]
    named += [(("developers", index), login) for index, login in enumerate(spec.developers)]
    for path, login in named:
        if known.by_login(login) is None:
            remedy = did_you_mean(login, logins, f"Add this login to {known.document.path.name}.")
            yield spec.document.fault(path, f"`{login}` is nobody in {known.document.path.name}.", remedy)


def _retraining(spec: ModelSpec) -> Iterator[Fault]:
    if spec.retraining.source is None:
        return
    try:
        lines.parse(spec.retraining.source)
    except InputError as error:
        yield spec.document.fault(("retraining", "source"), str(error), "Correct `source:`.")


def _use(spec: ModelSpec) -> Iterator[Fault]:
    purposes = spec.data.purposes
    if spec.use is None:
        yield spec.document.fault(
            ("data", "purposes"), "`use` is missing: what the model uses the data for.", _one_of(spec)
        )
    elif data.purpose_fault(spec):
        found = f"The model uses the data for `{spec.use}`, which is none of their purposes."
        yield spec.document.fault(("use",), found, did_you_mean(spec.use, purposes, _one_of(spec)))


def _one_of(spec: ModelSpec) -> str:
    return f"Write one of `data.purposes` ({', '.join(spec.data.purposes)}), or take other data."


def _personal(spec: ModelSpec) -> Iterator[Fault]:
    remedy = "Remove this line: personal data never reach a model."
    for column, kind in spec.data.personal.items():
        if column in spec.features:
            found = f"Feature `{column}` is personal data ({kind.replace('_', ' ')})."
            yield spec.document.fault(("features", column), found, remedy)
        if column == spec.target.column or column in spec.protected_columns:
            found = f"`{column}` is the target or protected, and would be masked as personal data."
            yield spec.document.fault(("data", "personal", column), found, "Remove this line, or name another column.")
        if column in spec.data.not_personal:
            found = f"`{column}` is said to be personal data, and to be none."
            yield spec.document.fault(("data", "not_personal", column), found, "Remove one of the lines.")


def _subject(spec: ModelSpec) -> Iterator[Fault]:
    column = spec.data.subject
    if column is None:
        return
    path = ("data", "subject")
    if spec.no_persons:
        found = f"`{column}` says whom a row is about, and `no_persons` that the rows are about no persons."
        yield spec.document.fault(path, found, "Remove one of the lines.")
    if column in spec.features:
        found = f"Feature `{column}` says whom a row is about."
        yield spec.document.fault(("features", column), found, "Remove this line: a model learns names by heart.")
    if column in (spec.target.column, *spec.protected_columns, *spec.leaks):
        found = f"The subject `{column}` is the target, a leak, or a column of a protected attribute."
        yield spec.document.fault(path, found, "Name the column that identifies the person, such as `application_id`.")
    if column in spec.data.personal:
        found = f"The subject `{column}` would be masked as personal data, and nobody's rows could be found."
        remedy = "Remove this line: the subject is kept apart, and marked as an identifier, without it."
        yield spec.document.fault(("data", "personal", column), found, remedy)


def _target(spec: ModelSpec) -> Iterator[Fault]:
    column = spec.target.column
    if column in spec.features:
        found = f"The target `{column}` is among the features."
        yield spec.document.fault(("features", column), found, "Remove this line: it tells the model the answer.")
    if column in spec.protected_columns:
        found = f"The target `{column}` is a column of a protected attribute."
        yield spec.document.fault(("target", "column"), found, "Name what the model is to learn.")
    if column in spec.leaks:
        yield spec.document.fault(("leaks", column), f"`{column}` is the target itself.", "Remove this line.")


def _features(spec: ModelSpec) -> Iterator[Fault]:
    granted = {grant.column for grant in spec.granted}
    remedy = "Remove this line, or grant it under `granted:` with the reason."
    for name, attribute in spec.protected.items():
        for column in attribute.columns:
            if column in spec.features and column not in granted:
                found = f"Feature `{column}` is the protected attribute `{name}`."
                yield spec.document.fault(("features", column), found, remedy)
    for column, why in spec.leaks.items():
        if column in spec.features and column not in granted:
            found = f"Feature `{column}` tells the outcome: {why}."
            yield spec.document.fault(("features", column), found, remedy)


def _grants(spec: ModelSpec) -> Iterator[Fault]:
    forbidden = {*spec.protected_columns, *spec.leaks}
    for index, grant in enumerate(spec.granted):
        if grant.column not in forbidden:
            remedy = did_you_mean(grant.column, forbidden, "Remove it.")
            found = f"`{grant.column}` needs no grant: it is neither protected nor a leak."
        elif grant.column not in spec.features:
            found, remedy = f"`{grant.column}` is granted but is no feature.", "Remove the grant, or add the feature."
        else:
            continue
        yield spec.document.fault(("granted", index), found, remedy)


def _proxies(spec: ModelSpec) -> Iterator[Fault]:
    for index, column in enumerate(spec.proxies):
        if column not in spec.features:
            remedy = did_you_mean(column, spec.features, "Proxies are features: remove it, or add the feature.")
            yield spec.document.fault(("proxies", index), f"Proxy `{column}` is not a feature.", remedy)


def _attribute(spec: ModelSpec, name: str, attribute: Protected) -> Iterator[Fault]:
    path = ("protected", name)
    if TIMES in name or name in ("attribute", "feature", "column"):
        found = f"An attribute cannot be called `{name}`: measurements use this name for something else."
        yield spec.document.fault(path, found, "Choose another name.")
    columns = attribute.columns
    if len(set(columns)) < len(columns):
        found = f"Two groups of `{name}` are the same column."
        yield spec.document.fault(path, found, "Name a column of 0 and 1 for each group.")
    if attribute.indicators and len(columns) == 1 and attribute.otherwise is None:
        found = f"`{name}` has one group only: there is nothing to compare it with."
        yield spec.document.fault(path, found, f"Add `otherwise:`, or write {{column: {columns[0]}, values: …}}.")
    values = list((attribute.values or {}).values())
    if len(values) > len({repr(value) for value in values}):
        yield spec.document.fault((*path, "values"), f"Two groups of `{name}` have the same value.", "Correct one.")


def _intersections(spec: ModelSpec) -> Iterator[Fault]:
    for index, names in enumerate(spec.intersections):
        for position, name in enumerate(names):
            if name not in spec.protected:
                remedy = did_you_mean(name, spec.protected, "Name it under `protected:`.")
                found = f"Intersection of `{name}`, which is no protected attribute."
                yield spec.document.fault(("intersections", index, position), found, remedy)
        if len(set(names)) < 2 or len(set(names)) < len(names):
            found = f"Expected an intersection of two or more attributes, found [{', '.join(names)}]."
            yield spec.document.fault(("intersections", index), found, "Write [race, sex].")


def _search(spec: ModelSpec) -> Iterator[Fault]:
    for index, threshold in enumerate(spec.alternatives.thresholds):
        if not 0 < threshold < 1:
            found = f"A threshold of {threshold:g} decides the same for everybody."
            yield spec.document.fault(("alternatives", "thresholds", index), found, "Write one between 0 and 1.")
    for path, parameters in (
        (("training", "parameters"), spec.training.parameters),
        *((("alternatives", "parameters", index), one) for index, one in enumerate(spec.alternatives.parameters)),
    ):
        if "seed" in parameters:
            found = "`seed` is not a parameter here: `fit` is given the run's."
            yield spec.document.fault((*path, "seed"), found, "Write it as `training.seed`.")
