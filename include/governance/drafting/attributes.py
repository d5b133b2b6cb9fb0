"""Which columns say what groups people belong to, proposed by name, and how groups are made of them.

A proposal is asked about, never taken silently: a name may mislead. Of a column that a person names, the same function
makes the groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from governance.catalog import Protected
from governance.data.protected import UNKNOWN, derive
from governance.drafting import names
from governance.drafting.profile import Column, Profile
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 20
AGE_BANDS = (40, 62)
"""40: Age Discrimination in Employment Act; 62: 'elderly' in Regulation B of the Equal Credit Opportunity Act."""

OVERLAP = 0.01
"""Share of rows that may be in two groups of one attribute; with more, they are attributes of their own."""

OF_ONE = {
    "male": ("men", "women"),
    "female": ("women", "men"),
    "married": ("married", "not married"),
    "black": ("Black", "not Black"),
    "white": ("White", "not White"),
    "nonwhite": ("not White", "White"),
}
"""Word of a column of 0 and 1 → the names of its groups 1 and 0."""

GROUP_NAMES = {
    "black": "Black",
    "blck": "Black",
    "white": "White",
    "whte": "White",
    "hispan": "Hispanic",
    "hisp": "Hispanic",
    "hispanic": "Hispanic",
    "latino": "Hispanic",
    "asian": "Asian",
    "nonwhite": "not White",
}


@dataclass(frozen=True)
class Attribute:
    """A protected attribute and how it is made.

    Attributes:
        name: Its name.
        written: How model.yaml says it.
        columns: The columns that it is made from.
        sizes: Rows by group.
        why: What gave it away.
        notes: What a person should know or decide.
    """

    name: str
    written: Protected
    columns: tuple[str, ...]
    sizes: Mapping[str, int]
    why: str
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> int:
        """How many groups there are, besides those of whom it is not known."""
        return len(set(self.sizes) - {UNKNOWN})

    @property
    def in_words(self) -> str:
        """Its name, its columns and the size of its groups, in one line."""
        groups = ", ".join(f"{group} {size:,}" for group, size in self.sizes.items())
        columns = " and ".join(f"`{column}`" for column in self.columns)
        return f"{self.name}, from {columns} ({groups})"


def proposed(profile: Profile, target: str) -> list[Attribute]:
    """Return the attributes that the names of the columns speak of, and whose columns hold groups."""
    by_attribute: dict[str, list[Column]] = {}
    for column in profile.columns.values():
        attribute = names.attribute_of(column.name)
        if attribute and column.name != target and _holds_groups(column, attribute):
            by_attribute.setdefault(attribute, []).append(column)
    made = [one for name, columns in by_attribute.items() for one in _attributes(profile, name, columns)]
    return [one for one in made if one.groups > 1]


def named(profile: Profile, columns: Sequence[str], target: str) -> list[Attribute]:
    """Return attributes made of the columns that a person named.

    Raises:
        InputError: A column is not there, is the target, or holds no groups.
    """
    from governance.check.wording import did_you_mean

    by_attribute: dict[str, list[Column]] = {}
    for name in dict.fromkeys(columns):
        column = profile.columns.get(name)
        if column is None:
            remedy = did_you_mean(name, profile.columns, "Name a column of the data.")
            raise InputError(f"Expected --protected to name a column, found no column {name!r}. {remedy}")
        if name == target:
            raise InputError(f"The target {name!r} cannot be a protected attribute, too. Name what is to be learnt.")
        attribute = names.attribute_of(name) or _own_name(name)
        if not _holds_groups(column, attribute):
            raise InputError(
                f"Expected 2 to {MOST_GROUPS} groups in the protected column {name!r}, found {column.in_words} "
                f"({column.distinct:,} different). Cut it into groups in the source, or name another column."
            )
        by_attribute.setdefault(attribute, []).append(column)
    made = [one for name, found in by_attribute.items() for one in _attributes(profile, name, found)]
    for one in made:
        if one.groups < 2:
            raise InputError(
                f"Expected two groups or more to compare, found one in {one.in_words}. Name another column."
            )
    return made


def _own_name(column: str) -> str:
    """Return a column's name as one of an attribute: measurements use some names for something else."""
    name = column.replace(" × ", " ").strip() or "protected"
    return f"{name} (protected)" if name in ("attribute", "feature", "column") else name


def _holds_groups(column: Column, attribute: str) -> bool:
    if column.kind == "timestamp" or column.distinct < 2:
        return False
    return column.distinct <= MOST_GROUPS or _is_age(column, attribute)


def _is_age(column: Column, attribute: str) -> bool:
    return attribute == "age" and column.is_number and not column.is_binary and bool(_bands(column))


def _bands(column: Column) -> list[int | float]:
    """Return the legal bounds that people of these data lie on both sides of; the middle where they do not."""
    low, high = column.low or 0.0, column.high or 0.0
    if low < 0 or high > 130:  # no age in years: a year of birth, days
        return []
    within: list[int | float] = [bound for bound in AGE_BANDS if low < bound <= high]
    middle = round((low + high) / 2)
    return within or ([middle] if low < middle <= high else [])


def _attributes(profile: Profile, name: str, columns: Sequence[Column]) -> Iterator[Attribute]:
    """Yield what is made of all columns that speak of one attribute."""
    columns = _without_copies(profile, columns)
    binary = [column for column in columns if column.is_binary]
    merged, apart = _apart(profile, binary) if len(binary) > 1 else ([], binary)
    if merged:
        yield _of_indicators(profile, name, merged)
    others = [*apart, *(column for column in columns if column not in binary)]
    for column in others:
        own = name if len(others) == 1 and not merged else f"{name}: {_own_name(column.name)}"
        yield _of_column(profile, own, name, column)


def _without_copies(profile: Profile, columns: Sequence[Column]) -> list[Column]:
    """Leave out what says the same as an earlier column: `female` beside `male`, `agesq` beside `age`."""
    kept: list[Column] = []
    for column in columns:
        if not any(says_the_same(profile.frame, other, column) for other in kept):
            kept.append(column)
    return kept


def says_the_same(frame: "pd.DataFrame", one: Column, other: Column) -> bool:
    """Say whether two columns tell the same groups apart: each value of one is a value of the other."""
    if one.distinct != other.distinct or one.missing != other.missing:
        return False
    pairs = frame[[one.name, other.name]].drop_duplicates()
    return len(pairs.dropna()) == one.distinct and len(pairs) <= one.distinct + bool(one.missing)


def _apart(profile: Profile, columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """Return the indicators that exclude each other, and the others; none of the first where they are not two."""
    kept: list[Column] = []
    for column in columns:
        flags = profile.frame[column.name] == 1
        others = profile.frame[[other.name for other in kept]] == 1
        if float((others.any(axis=1) & flags).mean()) <= OVERLAP:
            kept.append(column)
    if len(kept) < 2:
        return [], list(columns)
    return kept, [column for column in columns if column not in kept]


def _of_indicators(profile: Profile, name: str, columns: Sequence[Column]) -> Attribute:
    groups = _distinct_groups(columns)
    flags = profile.frame[[column.name for column in columns]]
    written: dict[str, Any] = {"indicators": groups}
    if bool(((flags == 0).all(axis=1)).any()):
        others = next(name for name in ("others", "none of these", "no group") if name not in groups)
        written["otherwise"] = "White" if name == "race" and "White" not in groups else others
    white = written.get("otherwise") == "White"
    note = ("decide: rows with none of these set are taken for White",) if white else ()
    return _made(profile, name, Protected.model_validate(written), [column.name for column in columns], note)


def _distinct_groups(columns: Sequence[Column]) -> dict[str, str]:
    groups: dict[str, str] = {}
    for column in columns:
        group = next((GROUP_NAMES[word] for word in names.words(column.name) if word in GROUP_NAMES), column.name)
        groups[column.name if group in groups or group == "otherwise" else group] = column.name
    return groups


def _of_column(profile: Profile, own: str, attribute: str, column: Column) -> Attribute:
    if _is_age(column, attribute) and column.distinct > 2:
        bands = _bands(column)
        law = "40: ADEA; 62: Regulation B (ECOA). decide: the bounds that your law names"
        return _made(profile, own, Protected(column=column.name, bands=bands), [column.name], (law,))
    if not column.is_binary:
        codes = ("decide: what the numbers mean, as `values: {name: number}`",) if column.is_number else ()
        return _made(profile, own, Protected(column=column.name), [column.name], codes)
    yes, no = next(
        (OF_ONE[word] for word in names.words(column.name) if word in OF_ONE), (column.name, f"not {column.name}")
    )
    as_bool = column.kind == "bool"
    values = {yes: True, no: False} if as_bool else {yes: 1, no: 0}
    return _made(profile, own, Protected(column=column.name, values=values), [column.name])


def _made(
    profile: Profile, name: str, written: Protected, columns: Sequence[str], notes: tuple[str, ...] = ()
) -> Attribute:
    groups = derive(profile.frame, {name: written})[name]
    sizes = {str(group): int(count) for group, count in groups.value_counts().items()}
    return Attribute(name, written, tuple(columns), sizes, "its name", notes)
