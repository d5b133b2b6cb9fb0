"""From arranged rows to scores, quickly: one row should not pay for a data frame.

Where all features are numbers, rows go to the estimator as a plain array, past the wrapper that holds the threshold.
Whether that gives the same scores, bit for bit, is tried when the model is loaded; where it does not (a pipeline that
picks columns by name), every request takes the way through a data frame.
"""

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from governance.release.inputs import Row
from governance.release.loading import Permitted

Scores = npt.NDArray[np.float64]

_threads = threading.local()


class Scorer:
    """Scores rows with one model.

    Args:
        permitted: The model.
    """

    def __init__(self, permitted: Permitted) -> None:
        self._model, self._inputs = permitted.model, permitted.inputs
        self._plain = self._found_plain() if permitted.inputs.numeric else None

    @property
    def is_plain(self) -> bool:
        """Whether rows go to the estimator without a data frame."""
        return self._plain is not None

    def scores(self, rows: Sequence[Row]) -> Scores:
        """Return what the model says of each row: :meth:`governance.training.artifacts.LoadedModel.score`."""
        if self._plain is None:
            return self._model.score(self._inputs.frame(rows))
        return self._plain_scores(self._plain, rows)

    def scores_in_place(self, rows: Sequence[Row]) -> Scores:
        """Do the same for a few rows, on the calling thread alone."""
        _stay_on_this_thread()
        return self.scores(rows)

    def _found_plain(self) -> Any:
        """Return the estimator inside the wrapper if an array gives what a data frame gives."""
        wrapper = self._model.estimator
        inner = getattr(getattr(wrapper, "estimator_", getattr(wrapper, "estimator", None)), "estimator", wrapper)
        rows = [list(self._inputs.example().values()), list(self._inputs.example(empty=True).values())]
        # It says so with every call, and is right: the names are checked before, by Inputs.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        try:
            same = np.array_equal(self._plain_scores(inner, rows), self._model.score(self._inputs.frame(rows)))
        except Exception:  # whatever it needs a data frame for
            return None
        return inner if same else None

    def _plain_scores(self, estimator: Any, rows: Sequence[Row]) -> Scores:
        array: Any = np.array(rows, dtype=np.float64)
        return self._model.description.asked.scores(estimator, array)


def _stay_on_this_thread() -> None:
    """Keep OpenMP from waking other threads for a few rows: on a busy machine that costs fifty times the rows."""
    if not getattr(_threads, "alone", False):
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1, user_api="openmp")
        _threads.alone = True
