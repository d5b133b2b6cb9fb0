"""What is to be learnt: the task, told from the target, and which answer is good for people."""

from dataclasses import dataclass

from governance.catalog import TaskName, Value
from governance.drafting import names
from governance.drafting.profile import Column, Profile
from governance.errors import InputError

MOST_CLASSES = 20
MOST_NUMBERED_CLASSES = 10
"""More different whole numbers than this are a quantity, not names of classes."""

FEWEST_ROWS = 30
"""Below this no group could be judged: the policies' ``minimum_n``."""

ROWS_OF_A_CLASS = 5
"""Whole numbers with a rarer value are taken for a quantity."""


@dataclass(frozen=True)
class Outcome:
    """What is to be learnt.

    Attributes:
        column: The target.
        task: Of the three.
        why: Why this task.
        favourable: The value that is good for people; ``None`` where nothing says so yet, or the task has none.
        why_favourable: Why this value.
        classes: All classes in their order, of more than two.
        smallest: Rows of the rarest class; all rows of a regression.
    """

    column: Column
    task: TaskName
    why: str
    favourable: Value | None
    why_favourable: str
    classes: tuple[Value, ...] | None
    smallest: int

    @property
    def undecided(self) -> bool:
        """Whether a person must say which value is favourable."""
        return self.task == "binary_classification" and self.favourable is None

    @property
    def values(self) -> tuple[Value, ...]:
        """The classes, of two or more."""
        return tuple(value for value in self.column.values if not isinstance(value, float))


def outcome_of(profile: Profile, target: str, asked: TaskName | None, favourable: str | None, source: str) -> Outcome:
    """Return what is to be learnt.

    Args:
        profile: The data.
        target: The target's name.
        asked: The task that was asked for; told from the target by default.
        favourable: The favourable value that was named, as text.
        source: Where the data come from, for messages.

    Raises:
        InputError: Nothing can be learnt from this target: it is missing, constant, not there in some rows, or of
            another kind than the task asks for.
    """
    column = _usable(profile, target, source)
    told, why = _told(column)
    task = asked or told
    _require_fit(column, task, source)
    if task == "regression":
        _refuse_favourable(favourable, task)
        return Outcome(column, task, why if task == told else "as asked", None, "", None, profile.rows)
    smallest = min(column.values.values())
    _require_rows(column, smallest, source)
    classes = tuple(value for value in column.values if not isinstance(value, float))
    chosen, because = _favourable(column, favourable, task)
    several = classes if task == "multiclass_classification" else None
    return Outcome(column, task, why if task == told else "as asked", chosen, because, several, smallest)


def last_guess(outcome: Outcome) -> Value:
    """Return the value that is taken for favourable where nothing says which is: the last in order."""
    return outcome.values[-1]


def _usable(profile: Profile, target: str, source: str) -> Column:
    from governance.check.wording import did_you_mean

    column = profile.columns.get(target)
    if column is None:
        known = ", ".join(list(profile.columns)[:30])
        remedy = did_you_mean(target, profile.columns, f"The columns are: {known}.")
        if len(profile.columns) == 1 and any(mark in known for mark in ";\t|"):
            remedy = "It seems to be cut by another sign than a comma: save it with commas."
        raise InputError(f"Expected a column {target!r} in {source}, found none. {remedy}")
    if profile.rows < FEWEST_ROWS:
        raise InputError(
            f"Expected at least {FEWEST_ROWS} rows in {source}, found {profile.rows}: no model of so few could be "
            f"judged. Bring more data."
        )
    if column.missing:
        raise InputError(
            f"The target {target!r} is missing in {column.missing:,} of {column.rows:,} rows of {source}. Expected the "
            f"outcome of every row: what has none can teach nothing and judge nothing. Leave these rows out in the "
            f"source, and say in `limitations` who they are."
        )
    if column.distinct < 2:
        raise InputError(
            f"The target {target!r} has the same value in all rows of {source}. Expected two or more: there is nothing "
            f"to learn. Is it the right column?"
        )
    return column


def _told(column: Column) -> tuple[TaskName, str]:
    if column.kind == "bool" or (column.distinct == 2 and _names_classes(column)):
        return "binary_classification", "the target has two values"
    if column.kind == "string":
        return "multiclass_classification", f"the target has {column.distinct} names"
    few = column.distinct <= MOST_NUMBERED_CLASSES
    if few and _names_classes(column) and min(column.values.values()) >= ROWS_OF_A_CLASS:
        return "multiclass_classification", f"the target has {column.distinct} whole numbers, each often"
    return "regression", f"the target has {column.distinct:,} different numbers"


def _names_classes(column: Column) -> bool:
    return bool(column.values) and not any(isinstance(value, float) for value in column.values)


def _require_fit(column: Column, task: TaskName, source: str) -> None:
    found = f"{column.name!r} of {source} holds {column.in_words}"
    if column.kind == "timestamp":
        raise InputError(f"{found}. Expected classes or numbers as target. Turn it into a number in the source.")
    if task == "regression":
        if column.kind in ("string", "bool"):
            raise InputError(f"{found}. Expected numbers for a regression. Name another target, or another --task.")
    elif task == "binary_classification":
        if column.distinct != 2 or not _names_classes(column):
            raise InputError(
                f"{found} with {column.distinct:,} different values. Expected two (whole numbers, names, or true and "
                f"false) for a binary classification. Name another target, or another --task."
            )
    elif not 3 <= column.distinct <= MOST_CLASSES or not _names_classes(column):
        raise InputError(
            f"{found} with {column.distinct:,} different values. Expected 3 to {MOST_CLASSES} names or whole numbers "
            f"for several classes. Name another target, merge rare classes, or choose another --task."
        )


def _require_rows(column: Column, smallest: int, source: str) -> None:
    if smallest < 2:
        rare = next(value for value, count in column.values.items() if count == smallest)
        raise InputError(
            f"The class {rare!r} of {column.name!r} has one row in {source}. Expected at least two, to learn from one "
            f"and be judged on another. Merge it with another class, or bring more data."
        )


def _refuse_favourable(favourable: str | None, task: TaskName) -> None:
    if favourable is not None:
        raise InputError(f"Expected no --favourable for a {task}, found {favourable!r}: it predicts a number.")


def _favourable(column: Column, named: str | None, task: TaskName) -> tuple[Value | None, str]:
    values = [value for value in column.values if not isinstance(value, float)]
    if named is not None:
        same = [value for value in values if str(value).lower() == named.lower()]
        if not same:
            listed = ", ".join(map(str, values))
            raise InputError(f"Expected --favourable to be one of {listed}, found {named!r}.")
        return next((value for value in same if str(value) == named), same[0]), "as named"
    if task != "binary_classification":
        return None, ""
    return _by_words(column, values)


def _by_words(column: Column, values: list[Value]) -> tuple[Value | None, str]:
    """Tell the favourable value by what the values and the target are called."""
    said = {value: str(value).strip().lower() for value in values}
    good = [value for value in values if said[value] in names.FAVOURABLE_VALUES]
    bad = [value for value in values if said[value] in names.UNFAVOURABLE_VALUES]
    other = {values[0]: values[1], values[1]: values[0]}
    if len(good) != 1 and len(bad) == 1:
        good = [other[bad[0]]]
    if len(good) != 1:
        return None, ""
    if set(said.values()) <= names.YES_AND_NO and names.is_unfavourable(column.name):
        return other[good[0]], f"a yes to `{column.name}` is bad news"
    return good[0], f"`{good[0]}` reads like good news"
