"""Which rows train and which rows judge; the folder's code has no say in it.

Small data are judged on out-of-fold predictions of a repeated, stratified cross-validation: every row is predicted by
a model that has not seen it, so that groups are as large as they can be. Large data are judged on a sealed holdout.
Either way the first repetition judges, and the others choose: thresholds and alternatives are looked for there, so
that what is chosen is judged on a split it was not chosen on (§10.8).

Strata are the groups of the first protected attribute × outcome, so that no fold is without a small group.

Not guaranteed: independence of the repetitions from each other. They hold the same rows in another order, so agreement
between them says that a result does not hang on the split, not that it would repeat on new applicants.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from governance.catalog import Evaluation
from governance.errors import InputError

Array = npt.NDArray[Any]

JUDGING = 0
"""The repetition that judges; all others choose."""


class Fold(NamedTuple):
    """Positions of the rows that train and of the rows that are predicted, both ascending."""

    train: Array
    test: Array


@dataclass(frozen=True)
class Plan:
    """Who trains on what.

    Attributes:
        repetitions: Folds by repetition. The first judges; no row is in two test sets of one repetition.
        final: The rows of the final fit: all of them, or all but the sealed ones.
        final_judges: Whether the final fit is also what judges (holdout), or estimates are of the procedure.
    """

    repetitions: tuple[tuple[Fold, ...], ...]
    final: Array
    final_judges: bool

    @property
    def choosing(self) -> range:
        """The repetitions on which thresholds and alternatives are chosen."""
        return range(JUDGING + 1, len(self.repetitions))


def plan_fits(strata: npt.ArrayLike, evaluation: Evaluation, seed: int) -> Plan:
    """Lay out all fits of a candidate.

    Args:
        strata: Stratum of each row, shape (n).
        evaluation: What the spec says: cross-validation or holdout, folds, repetitions.
        seed: The spec's seed; the same seed gives the same plan.

    Raises:
        InputError: A stratum is too small for the number of folds.
    """
    strata = np.asarray(strata)
    if evaluation.method == "cross_validation":
        repetitions = folds(strata, evaluation.folds, evaluation.repetitions, seed)
        return Plan(tuple(map(tuple, repetitions)), np.arange(len(strata)), final_judges=False)
    sealed = holdout(strata, evaluation.test_share, seed)
    inner = folds(strata[sealed.train], evaluation.folds, evaluation.repetitions - 1, seed + 1)
    choosing = tuple(tuple(_within(fold, sealed.train) for fold in repetition) for repetition in inner)
    return Plan(((sealed,), *choosing), sealed.train, final_judges=True)


def folds(strata: npt.ArrayLike, folds: int, repetitions: int, seed: int) -> list[list[Fold]]:
    """Return the folds of a repeated, stratified cross-validation.

    Repetition ``r`` is ``StratifiedKFold(folds, shuffle=True, random_state=seed + r)``.

    Args:
        strata: Stratum of each row, shape (n).
        folds: Into how many parts the rows are cut.
        repetitions: How often, each time another way.
        seed: Of the first repetition.

    Returns:
        For each repetition, ``folds`` folds whose test sets together are all rows.

    Raises:
        InputError: A stratum has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    strata = np.asarray(strata)
    _require_rows_in_every_fold(strata, folds)
    splitters = (StratifiedKFold(folds, shuffle=True, random_state=seed + r) for r in range(repetitions))
    return [[Fold(train, test) for train, test in splitter.split(strata, strata)] for splitter in splitters]


def holdout(strata: npt.ArrayLike, test_share: float, seed: int) -> Fold:
    """Return one stratified split into training rows and sealed test rows.

    Raises:
        InputError: A stratum has a single row, or the share leaves one side without a stratum.
    """
    from sklearn.model_selection import train_test_split

    strata = np.asarray(strata)
    _require_rows_in_every_fold(strata, 2)
    rows = np.arange(len(strata))
    try:
        train, test = train_test_split(rows, test_size=test_share, random_state=seed, stratify=strata)
    except ValueError as error:
        raise InputError(f"Expected a holdout of {test_share:.0%} of {len(rows)} rows, found: {error}.") from error
    return Fold(np.sort(train), np.sort(test))


def strata_of(outcome: npt.ArrayLike, groups: npt.ArrayLike | None = None, *, smallest: int = 5) -> Array:
    """Return the stratum of each row: group × outcome, with rare ones merged.

    Args:
        outcome: Small whole numbers, shape (n): the label, or the part of its range that it lies in.
        groups: Group of each row in the first protected attribute, shape (n); ``None`` where there is no attribute.
        smallest: Strata with fewer rows are merged with the others of the same outcome.

    Returns:
        Names of strata, shape (n).
    """
    outcome = np.asarray(outcome).astype(int)
    if groups is None:
        return outcome.astype(str)
    strata = np.char.add(np.asarray(groups).astype(str), np.char.add(" × ", outcome.astype(str)))
    for value in np.unique(outcome):
        _merge_rare(strata, np.flatnonzero(outcome == value), smallest)
    return strata


def _merge_rare(strata: Array, rows: Array, smallest: int) -> None:
    names, counts = np.unique(strata[rows], return_counts=True)
    rare = names[counts < smallest]
    if not len(rare):
        return
    merged = rows[np.isin(strata[rows], rare)]
    largest = names[np.argmax(counts)]
    # One name of their own where together they are enough, else the company of the largest stratum.
    strata[merged] = rare[0] if len(merged) >= smallest else largest


def _require_rows_in_every_fold(strata: Array, folds: int) -> None:
    names, counts = np.unique(strata, return_counts=True)
    if not len(names):
        raise InputError("Expected rows to split, found none.")
    if counts.min() < folds:
        raise InputError(
            f"Expected at least {folds} rows of every stratum, found {counts.min()} of `{names[np.argmin(counts)]}`. "
            f"Use fewer folds (training.evaluation in model.yaml), or more data."
        )


def _within(fold: Fold, rows: Array) -> Fold:
    return Fold(rows[fold.train], rows[fold.test])
