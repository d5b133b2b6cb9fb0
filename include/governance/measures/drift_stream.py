"""Drift of a column whose rows go by: counts in the bins of a reference that was kept, and nothing else.

Memory is that of the bins, whatever the number of rows: no row is kept, so PSI is the only measure that there is. A
value between two bins, or one that the reference never had, is *elsewhere*. Neighbours:
:mod:`governance.measures.drift_shapes` says what was kept of the reference; :mod:`governance.measures.drift` measures
whole windows. Not guaranteed: the same number as over a window, where small bins were put together, or an end was
rounded past a value.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from governance.measures import drift_counts, drift_distances
from governance.measures.confusion import Array
from governance.measures.drift_shapes import LONGEST_NAME, Shape


class Stream:
    """Counts of one column beside its reference.

    Args:
        shape: What was kept of the reference; what it says of its current side is left out.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        # Its bins, elsewhere, and what is missing.
        self._reference = np.array([*(one.reference for one in shape.bins), 0, shape.missing[0]], dtype=np.int64)
        self._counts = np.zeros_like(self._reference)
        self._others = next((at for at, one in enumerate(shape.bins) if one.name is None), len(shape.bins))
        self._names = {one.name: at for at, one in enumerate(shape.bins) if one.name is not None}
        self._starts, self._ends = self._limits()

    @property
    def rows(self) -> int:
        """How many rows went by."""
        return int(self._counts.sum())

    def count(self, values: Sequence[Any]) -> None:
        """Count values as a request brings them; ``None`` is missing.

        Raises:
            ValueError: A number was expected and something else came.
            TypeError: Likewise.
        """
        places = self._places_of_text(values) if self.shape.kind == "values" else self._places_of_numbers(values)
        self._counts += np.bincount(places, minlength=self._counts.size)

    def psi_at_least(self, level: float) -> float:
        """Return the lower end of the interval of PSI; 0 where nothing has gone by.

        Args:
            level: Chance to miss the truth.
        """
        counts = np.array([self._reference, self._counts])
        if not counts.sum(1).all():
            return 0.0
        value = float(drift_distances.stability_index(counts))
        steepness = drift_distances.stability_steepness(counts)
        return drift_distances.debiased(counts, value, steepness, 1.0, level)[0]

    def _limits(self) -> tuple[Array, Array]:
        """Return where each bin of numbers begins, that number included, and where it ends."""
        bins = self.shape.bins if self.shape.kind != "values" else ()
        starts = np.array([-math.inf if one.low is None else one.low for one in bins])
        ends = np.array([math.inf if one.high is None else one.high for one in bins])
        is_lone = starts == ends
        # As in a window: a bin of one number is a hair wider, and the next one begins behind it.
        hair = np.zeros(starts.size)
        hair[is_lone] = drift_counts.hairs(starts[is_lone], ends[is_lone])
        starts, ends = starts - hair, ends + hair
        behind = np.append(False, is_lone[:-1] & (starts[1:] <= ends[:-1]))[: starts.size]
        starts[behind] = np.nextafter(ends[:-1][behind[1:]], math.inf)
        return starts, ends

    def _places_of_numbers(self, values: Sequence[Any]) -> Array:
        numbers = np.array(values, dtype=np.float64)
        missing, elsewhere = len(self._counts) - 1, len(self._counts) - 2
        if not self._starts.size:
            return np.where(np.isnan(numbers), missing, elsewhere)
        places = np.searchsorted(self._starts, numbers, side="right") - 1
        inside = (places >= 0) & (numbers <= self._ends[places])
        return np.where(np.isnan(numbers), missing, np.where(inside, places, elsewhere))

    def _places_of_text(self, values: Sequence[Any]) -> Array:
        missing = len(self._counts) - 1
        return np.array([missing if value is None else self._place(str(value)) for value in values], dtype=np.int64)

    def _place(self, text: str) -> int:
        name = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
        return self._names.get(name, self._others)
