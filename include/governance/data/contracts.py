"""What data must look like, and whether they do.

A contract is a Great Expectations suite in JSON, kept beside the model and reviewed like code. Each expectation has a
severity: *critical* blocks, anything else is recorded. Each tolerance says in ``meta.notes`` what is tolerated and why.
Great Expectations evaluates; this module makes it quiet (no telemetry, no files, no progress bars), keeps the order of
the file, and fails closed where the library would not: an expectation it does not know is an error (the library drops
it silently), one that could not be evaluated has failed, a contract without expectations is no contract.

The library takes seconds to import, so it is imported when a contract runs. :func:`feature_bounds` reads the same file
without it, for the scoring service.

Not guaranteed: that data which meet the contract are right, or that they have not drifted: that is measured elsewhere.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.data import contract_words
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CRITICAL = "critical"
SEVERITIES = (CRITICAL, "warning", "info")
ROWS_SHOWN = 20
"""How many failing rows are kept of each expectation."""

TYPE = "expect_column_values_to_be_of_type"
TYPE_LIST = "expect_column_values_to_be_in_type_list"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
PROPORTION = "expect_column_proportion_of_non_null_values_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"


@dataclass(frozen=True)
class ExpectationResult:
    """What came of one expectation. Holds counts and aggregates, never a value of a row.

    Attributes:
        type: Great Expectations' name for it.
        columns: The columns it speaks of; none for the table as a whole.
        severity: ``critical``, ``warning`` or ``info``.
        expected: What was expected, in words.
        found: What was found, in words.
        success: Whether it was met. One that could not be evaluated was not.
        unexpected_count: Rows that do not meet it, where it speaks of rows.
        unexpected_percent: Their share of the rows that have a value, 0 to 100.
        rows: Up to 20 of these rows, counted from 0.
        notes: What is tolerated, and why.
        tolerated: Least and greatest share of rows that may not meet it, or have no value; ``None`` where it speaks of
            every row, or of no rows.
    """

    type: str
    columns: tuple[str, ...]
    severity: str
    expected: str
    found: str
    success: bool
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    rows: tuple[int, ...] = ()
    notes: str | None = None
    tolerated: tuple[float, float] | None = None

    @property
    def column(self) -> str | None:
        """The column, where it speaks of exactly one."""
        return self.columns[0] if len(self.columns) == 1 else None

    @property
    def subject(self) -> str:
        """What it speaks of, in words: its column, its few columns, or the table."""
        return ", ".join(self.columns) if 0 < len(self.columns) <= contract_words.FEW else "table"

    @property
    def blocks(self) -> bool:
        """Whether this result alone stops the run."""
        return not self.success and self.severity == CRITICAL

    @property
    def sentence(self) -> str:
        """Expected and found in one line: ``min30: expected a value in 85 % to 95 % of rows, found …``."""
        return f"{self.subject}: expected {self.expected}, found {self.found}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        kept = {name: value for name, value in self.__dict__.items() if name != "tolerated"}
        return {**kept, "columns": list(self.columns), "column": self.column, "rows": list(self.rows)}


@dataclass(frozen=True)
class ContractResult:
    """What came of a contract.

    Attributes:
        success: Whether every critical expectation was met.
        expectations: All results, in the order of the file.
        digest: SHA-256 of the contract's file.
        rows: How many rows were checked.
        failing_rows: Raw rows that failed, up to 20 for each unmet expectation; indexed by ``expectation`` (position
            in ``expectations``) and ``row`` (counted from 0). People see them masked (:mod:`governance.data.privacy`).
    """

    success: bool
    expectations: tuple[ExpectationResult, ...]
    digest: str
    rows: int
    failing_rows: "pd.DataFrame"

    def unmet(self) -> tuple[ExpectationResult, ...]:
        """Return what was not met, worst first."""
        unmet = [result for result in self.expectations if not result.success]
        return tuple(sorted(unmet, key=lambda result: SEVERITIES.index(result.severity)))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which leaves the failing rows out."""
        expectations = [result.to_dict() for result in self.expectations]
        return {"success": self.success, "expectations": expectations, "digest": self.digest, "rows": self.rows}


def run_contract(frame: "pd.DataFrame", contract: Path, *, values_of: Collection[str] | None = None) -> ContractResult:
    """Check a table against a contract.

    Args:
        frame: The data, all columns (both parts of a snapshot).
        contract: The JSON file of an expectation suite.
        values_of: Only what is demanded of the values of these columns, row by row or of how many are missing; a table
            as a whole, its number of rows, and means and medians are not looked at.

    Raises:
        InputError: The contract cannot be read, or holds an expectation that Great Expectations does not know.
    """
    written = [one for one in _read(contract) if values_of is None or _of_values(one, values_of)]
    frame = frame.reset_index(drop=True)
    outcomes = _evaluate(frame, written, contract)
    results = tuple(_result(one, outcome, frame) for one, outcome in zip(written, outcomes, strict=True))
    return ContractResult(
        success=not any(result.blocks for result in results),
        expectations=results,
        digest=canonical.digest_of_bytes(contract.read_bytes()),
        rows=len(frame),
        failing_rows=_failing_rows(frame, results),
    )


def feature_bounds(contract: Path, features: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what one value of each feature may be, for a scoring request.

    Only what holds for every row counts: critical expectations without ``mostly``. Great Expectations is not needed.

    Args:
        contract: The JSON file of an expectation suite.
        features: Columns that a request carries.

    Returns:
        Feature → ``type`` (``int64``, ``float64``, ``bool``, ``string`` or ``timestamp``; a ``float64`` takes whole
        numbers, too), ``minimum`` and ``maximum`` (both allowed themselves, or None), ``allowed`` (a list, or None)
        and ``nullable``.

    Raises:
        InputError: The contract cannot be read, or says nothing of a feature's type.
    """
    written = [one for one in _read(contract) if one["severity"] == CRITICAL]
    by_column: dict[str, list[dict[str, Any]]] = {}
    for one in written:
        by_column.setdefault(one["kwargs"].get("column", ""), []).append(one)
    return {feature: _bounds(feature, by_column.get(feature, []), contract) for feature in features}


def feature_types(contract: Path, features: Sequence[str]) -> dict[str, str]:
    """Return the type that each feature must have, as :func:`feature_bounds` names it.

    Raises:
        InputError: The contract cannot be read, or says nothing of a feature's type.
    """
    return {name: str(bounds["type"]) for name, bounds in feature_bounds(contract, features).items()}


def _read(contract: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(contract.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the contract {contract}: {error}. Expected a suite in JSON.") from error
    listed = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{contract}: expected a list of expectations, found none. A contract must demand something.")
    return [_written(one, position, contract) for position, one in enumerate(listed)]


def _of_values(one: dict[str, Any], columns: Collection[str]) -> bool:
    return one["type"].startswith(("expect_column_values_", PROPORTION)) and one["kwargs"].get("column") in columns


def _written(one: Any, position: int, contract: Path) -> dict[str, Any]:
    where = f"{contract}, expectation {position + 1}"
    if not isinstance(one, dict) or not isinstance(one.get("type"), str) or not isinstance(one.get("kwargs"), dict):
        raise InputError(f"{where}: expected type (text) and kwargs (an object).")
    severity = one.get("severity", CRITICAL)
    if severity not in SEVERITIES:
        raise InputError(f"{where}: expected severity {', '.join(SEVERITIES)}, found {severity!r}.")
    return {"type": one["type"], "kwargs": one["kwargs"], "severity": severity, "meta": one.get("meta") or {}}


def _evaluate(frame: "pd.DataFrame", written: Sequence[dict[str, Any]], contract: Path) -> list[Any]:
    import great_expectations as gx
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    context = _quiet_context(gx)
    try:
        suite = context.suites.add(gx.ExpectationSuite(name="contract", expectations=list(written)))
    except (ValueError, TypeError, GreatExpectationsError) as error:
        raise InputError(f"{contract} is not a suite that Great Expectations understands: {error}.") from error
    _check_nothing_was_dropped(written, suite, contract)
    batch = (
        context.data_sources.add_pandas("frame").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name="contract", data=batch, suite=suite))
    outcome = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": ROWS_SHOWN},
    )
    by_id = {result.expectation_config.id: result for result in outcome.results}
    return [by_id.get(expectation.id) for expectation in suite.expectations]


def _quiet_context(gx: Any) -> Any:
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _check_nothing_was_dropped(written: Sequence[dict[str, Any]], suite: Any, contract: Path) -> None:
    understood = [expectation.expectation_type for expectation in suite.expectations]
    for position, one in enumerate(written):
        if position >= len(understood) or understood[position] != one["type"]:
            raise InputError(
                f"{contract}, expectation {position + 1}: Great Expectations does not know {one['type']!r} "
                f"or what it is given, and would leave it out. Correct its name and kwargs."
            )


def _result(one: Mapping[str, Any], outcome: Any, frame: "pd.DataFrame") -> ExpectationResult:
    from governance.data.columns import logical_type

    kwargs = one["kwargs"]
    columns = contract_words.columns_of(kwargs)
    result = dict(outcome.result) if outcome is not None else {}
    success = outcome is not None and outcome.success is True
    absent = [column for column in columns if column not in frame.columns]
    if one["type"] in (TYPE, TYPE_LIST) and not absent:
        result["observed_value"] = logical_type(frame[columns[0]])  # the library names none where it looked at values
    count, percent = result.get("unexpected_count"), result.get("unexpected_percent")
    return ExpectationResult(
        type=one["type"],
        columns=columns,
        severity=one["severity"],
        expected=contract_words.expected(one["type"], kwargs),
        found=contract_words.found(one["type"], kwargs, result, absent),
        success=success,
        unexpected_count=None if count is None else int(count),
        unexpected_percent=None if percent is None else float(percent),
        rows=() if success else tuple(int(row) for row in result.get("partial_unexpected_index_list") or ()),
        notes=one["meta"].get("notes"),
        tolerated=_tolerated(one["type"], kwargs),
    )


def _tolerated(kind: str, kwargs: Mapping[str, Any]) -> tuple[float, float] | None:
    if kind == PROPORTION:
        least, greatest = kwargs.get("min_value"), kwargs.get("max_value")
        return 1.0 - (1.0 if greatest is None else greatest), 1.0 - (0.0 if least is None else least)
    mostly = kwargs.get("mostly", 1)
    return (0.0, 1.0 - mostly) if mostly < 1 else None


def _failing_rows(frame: "pd.DataFrame", results: Sequence[ExpectationResult]) -> "pd.DataFrame":
    import pandas as pd

    places = [(position, row) for position, result in enumerate(results) for row in result.rows[:ROWS_SHOWN]]
    index = pd.MultiIndex.from_tuples(places, names=["expectation", "row"]) if places else None
    rows = frame.iloc[[row for _, row in places]]
    return rows.set_axis(index) if index is not None else rows


def _bounds(feature: str, expectations: Sequence[Mapping[str, Any]], contract: Path) -> dict[str, Any]:
    kind: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: list[Any] | None = None
    nullable = True
    for one in expectations:
        kwargs = one["kwargs"]
        if one["type"] in (TYPE, TYPE_LIST):
            kind = _widest(kwargs.get("type_list") or [kwargs["type_"]])
        elif kwargs.get("mostly", 1) < 1 or "row_condition" in kwargs:
            continue
        elif one["type"] == NOT_NULL:
            nullable = False
        elif one["type"] == BETWEEN:
            _refuse_strict(kwargs, feature, contract)
            minimum = _tighter(max, minimum, kwargs.get("min_value"))
            maximum = _tighter(min, maximum, kwargs.get("max_value"))
        elif one["type"] == IN_SET:
            values = kwargs["value_set"]
            allowed = list(values) if allowed is None else [value for value in allowed if value in values]
    if kind is None:
        raise InputError(f"{contract} says nothing of the type of feature {feature!r}. Add {TYPE}.")
    return {"type": kind, "minimum": minimum, "maximum": maximum, "allowed": allowed, "nullable": nullable}


def _widest(names: Sequence[str]) -> str:
    names = [contract_words.LOGICAL.get(name, name) for name in names]
    return "float64" if "float64" in names else names[0]


def _tighter(choose: Any, one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else choose(one, other)


def _refuse_strict(kwargs: Mapping[str, Any], feature: str, contract: Path) -> None:
    if kwargs.get("strict_min") or kwargs.get("strict_max"):
        raise InputError(f"{contract}: write the bounds of feature {feature!r} as values that are allowed themselves.")
