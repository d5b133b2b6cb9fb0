"""Expectations in words: what was expected, what was found.

Noun phrases, so that they read in a sentence and in a table alike. They hold numbers of the contract, counts, and
aggregates of a whole column (a mean, a share, a type); never a value of a row, for these words go to the ledger and to
people who may not see one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Kwargs = Mapping[str, Any]

ALIKE = "expect_compound_columns_to_be_unique"

FEW = 6
"""Up to so many columns are named; more are counted."""

LOGICAL = {
    "object": "string",
    "str": "string",
    "datetime64": "timestamp",
    "datetime64[us, UTC]": "timestamp",
    "Timestamp": "timestamp",
}
"""What Great Expectations calls our logical types, where the names differ."""

TYPE_NAMES = {
    "int64": "whole numbers",
    "float64": "decimal numbers",
    "bool": "true or false",
    "string": "text",
    "timestamp": "times",
}


def columns_of(kwargs: Kwargs) -> tuple[str, ...]:
    """Return the columns that an expectation speaks of, in its own order."""
    named = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs]
    return tuple(str(column) for column in [*named, *kwargs.get("column_list", ())])


def expected(kind: str, kwargs: Kwargs) -> str:
    """Return what an expectation expects: ``values from 1 to 665 in at least 98 % of rows``."""
    phrase = _EXPECTED[kind](kwargs) if kind in _EXPECTED else f"{_name(kind)} ({_plain(kwargs)})"
    return phrase + ("" if kind == ALIKE else _mostly(kwargs))


def found(kind: str, kwargs: Kwargs, result: Mapping[str, Any], absent: Sequence[str]) -> str:
    """Return what was found: ``45 of 1,989 values outside (2.3 %)``.

    Args:
        kind: Great Expectations' name of the expectation.
        kwargs: What the expectation was given.
        result: The ``result`` of its evaluation; empty where it could not be evaluated.
        absent: Columns that it speaks of and the table does not have.
    """
    if absent:
        return f"no column {_listed(absent)}"
    if not result:
        return "that it could not be checked"
    if kind in _FOUND:
        return _FOUND[kind](result)
    if result.get("unexpected_count") is not None:
        return _rows_found(kind, result)
    return "something else"


def number(value: Any) -> str:
    """Return a number without noise: ``1,500``, ``0.05``, ``999999.375``; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{float(value):,.6g}" if abs(value) < 1e5 else repr(float(value))


def share(value: float) -> str:
    """Return a share of one in per cent: ``0.9995`` is ``99.95 %``."""
    return f"{round(100 * value, 2):g} %"


def _name(kind: str) -> str:
    return kind.removeprefix("expect_").replace("_", " ")


def _plain(kwargs: Kwargs) -> str:
    return ", ".join(f"{name} {value}" for name, value in kwargs.items() if name not in ("column", "mostly"))


def _listed(names: Sequence[Any], word: str = "and") -> str:
    texts = [str(name) for name in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def _mostly(kwargs: Kwargs) -> str:
    mostly = kwargs.get("mostly", 1)
    return f" in at least {share(mostly)} of rows" if mostly < 1 else ""


def _span(kwargs: Kwargs, form: Callable[[Any], str] = number) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"at most {form(high)}"
    if high is None:
        return f"at least {form(low)}"
    return form(low) if low == high else f"{form(low)} to {form(high)}"


def _types(names: Sequence[str]) -> str:
    logical = [LOGICAL.get(name, name) for name in names]
    return _listed([f"{TYPE_NAMES.get(name, 'type')} ({name})" for name in logical], "or")


def _not_null(kwargs: Kwargs) -> str:
    return "a value" if kwargs.get("mostly", 1) < 1 else "a value in every row"


def _alike(kwargs: Kwargs) -> str:
    mostly, columns = kwargs.get("mostly", 1), kwargs["column_list"]
    where = f" in all {len(columns)} columns" if len(columns) > FEW else ""
    return (f"at most {share(1 - mostly)} of rows alike" if mostly < 1 else "no two rows alike") + where


_EXPECTED: dict[str, Callable[[Kwargs], str]] = {
    "expect_table_row_count_to_be_between": lambda kwargs: f"{_span(kwargs)} rows",
    "expect_table_columns_to_match_set": lambda kwargs: f"the {len(kwargs['column_set'])} columns of the contract",
    ALIKE: _alike,
    "expect_multicolumn_sum_to_equal": lambda kwargs: f"a sum of {number(kwargs['sum_total'])} in every row",
    "expect_column_values_to_be_of_type": lambda kwargs: _types([kwargs["type_"]]),
    "expect_column_values_to_be_in_type_list": lambda kwargs: _types(kwargs["type_list"]),
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_proportion_of_non_null_values_to_be_between": lambda kwargs: (
        f"a value in {_span(kwargs, share)} of rows"
    ),
    "expect_column_values_to_be_in_set": lambda kwargs: _listed(kwargs["value_set"], "or"),
    "expect_column_values_to_be_between": lambda kwargs: f"values {'of ' if _open(kwargs) else 'from '}{_span(kwargs)}",
    "expect_column_mean_to_be_between": lambda kwargs: f"a mean of {_span(kwargs)}",
    "expect_column_median_to_be_between": lambda kwargs: f"a median of {_span(kwargs)}",
}


def _open(kwargs: Kwargs) -> bool:
    return kwargs.get("min_value") is None or kwargs.get("max_value") is None


def _rows_found(kind: str, result: Mapping[str, Any]) -> str:
    count = int(result["unexpected_count"])
    total = int(result["element_count"]) - int(result.get("missing_count") or 0)
    what, verb = _ROWS.get(kind, ("values", "that are not"))
    if count == 0:
        return "nothing else"
    percent = float(result.get("unexpected_percent") or 0)
    return f"{count:,} of {total:,} {what} {verb} ({'< 0.1' if percent < 0.05 else f'{percent:.1f}'} %)"


_ROWS = {
    "expect_column_values_to_be_between": ("values", "outside"),
    "expect_column_values_to_be_in_set": ("values", "different"),
    "expect_column_values_to_not_be_null": ("rows", "without one"),
    ALIKE: ("rows", "alike"),
    "expect_multicolumn_sum_to_equal": ("rows", "with another"),
}


def _columns_found(result: Mapping[str, Any]) -> str:
    mismatched = (result.get("details") or {}).get("mismatched") or {}
    missing, unexpected = mismatched.get("missing") or [], mismatched.get("unexpected") or []
    parts = [f"no {_listed(missing)}"] if missing else []
    parts += [f"{_listed(unexpected)} in addition"] if unexpected else []
    return "; ".join(parts) or "these"


def _aggregate(what: str, form: Callable[[float], str]) -> Callable[[Mapping[str, Any]], str]:
    def words(result: Mapping[str, Any]) -> str:
        observed = result.get("observed_value")
        if observed is None or observed != observed:  # NaN, of an empty column
            return "no values at all"
        return what.format(form(float(observed)))

    return words


def _type_found(result: Mapping[str, Any]) -> str:
    return _types([str(result.get("observed_value"))])


def _rounded(value: float) -> str:
    return number(float(f"{value:.4g}"))


_FOUND: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_table_row_count_to_be_between": _aggregate("{} rows", number),
    "expect_table_columns_to_match_set": _columns_found,
    "expect_column_values_to_be_of_type": _type_found,
    "expect_column_values_to_be_in_type_list": _type_found,
    "expect_column_proportion_of_non_null_values_to_be_between": _aggregate("one in {} of rows", share),
    "expect_column_mean_to_be_between": _aggregate("{}", _rounded),
    "expect_column_median_to_be_between": _aggregate("{}", _rounded),
}
