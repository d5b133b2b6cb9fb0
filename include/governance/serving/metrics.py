"""Counters in Prometheus' text format, written by hand: three series do not need a library."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the histogram of request times, seconds."""


def label(value: str) -> str:
    """Return a label's value, quoted; model names come from MLflow and may hold anything."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Metrics:
    """What was asked and how long it took. Used by one event loop."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._rows: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._total: dict[str, float] = defaultdict(float)

    def count(self, model: str, status: int, rows: int, seconds: float) -> None:
        """Count one scoring request."""
        self._requests[model, status] += 1
        self._rows[model] += rows
        self._total[model] += seconds
        place = next((place for place, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        self._seconds[model][place] += 1

    def text(self, gauges: Iterable[str]) -> str:
        """Return everything as text; ``gauges`` are lines that are true now."""
        return "\n".join([*self._lines(), *gauges, ""])

    def _lines(self) -> Iterator[str]:
        yield "# TYPE governance_scoring_requests_total counter"
        for (model, status), count in sorted(self._requests.items()):
            yield f'governance_scoring_requests_total{{model={label(model)},status="{status}"}} {count}'
        yield "# TYPE governance_scoring_rows_total counter"
        for model, count in sorted(self._rows.items()):
            yield f"governance_scoring_rows_total{{model={label(model)}}} {count}"
        yield "# TYPE governance_scoring_seconds histogram"
        for model, counts in sorted(self._seconds.items()):
            yield from self._histogram(model, counts)

    def _histogram(self, model: str, counts: list[int]) -> Iterator[str]:
        for place, bound in enumerate((*BUCKETS, "+Inf")):
            below = sum(counts[: place + 1])
            yield f'governance_scoring_seconds_bucket{{model={label(model)},le="{bound}"}} {below}'
        yield f"governance_scoring_seconds_sum{{model={label(model)}}} {self._total[model]:.6f}"
        yield f"governance_scoring_seconds_count{{model={label(model)}}} {sum(counts)}"
