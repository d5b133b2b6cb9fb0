"""The smoke test: a few rows of the snapshot, put to the live endpoint and compared with the verified bytes.

Not guaranteed: that every row is answered alike. Five are asked, always the same ones.
"""

import math
from datetime import datetime
from typing import Any

from governance.data import snapshots
from governance.errors import RefusedError
from governance.release.scoring import ScoringService
from governance.release.verify import Verified

SMOKE_ROWS = 5


def smoke_test(service: ScoringService, verified: Verified) -> None:
    """Put a few rows of the snapshot to the live endpoint, and compare with the verified bytes.

    Raises:
        RefusedError: It answered otherwise, or from another version.
        UnavailableError: It does not answer.
    """
    model, inputs = verified.permitted.model, verified.permitted.inputs
    rows = smoke_rows(verified)
    answer = service.score(verified.permitted.permit.model, inputs.features, rows)
    task, scores = model.description.asked, model.score(inputs.frame(rows))
    answers = task.values(task.decide(scores, model.description.threshold))
    digest = verified.candidate.digest
    if answer["model"]["evidence"] != digest:
        raise RefusedError(
            f"Expected an answer from evidence {digest[:16]}…, found {answer['model']['evidence'][:16]}…"
        )
    if not (_alike(answer["predictions"], answers) and _alike(answer["scores"], scores.tolist())):
        raise RefusedError(
            f"Expected {_short(answers)} with scores {_short(scores.tolist())} from {service.url}, as the verified "
            f"bytes give, found {_short(answer['predictions'])} with {_short(answer['scores'])}: what serves is not "
            f"what was signed."
        )


def smoke_rows(verified: Verified, count: int = SMOKE_ROWS) -> list[list[Any]]:
    """Return a few rows of the snapshot that meet the contract one by one, evenly spread and always the same.

    Raises:
        RefusedError: No row does: nothing could be tested.
    """
    inputs = verified.permitted.inputs
    frame = snapshots.load(verified.snapshot)[list(inputs.features)]
    step = max(1, len(frame) // (20 * count))
    plain = [[_plain(value) for value in row] for row in frame.iloc[::step].itertuples(index=False)]
    fitting = [row for row in plain if not inputs.arrange(inputs.features, [row])[1]]
    if not fitting:
        raise RefusedError(
            f"Expected rows of snapshot {verified.snapshot.digest[:16]}… that meet the contract one by one, found none "
            f"among {len(plain)}: the live endpoint cannot be tested. Look at contract.json."
        )
    return fitting[:: max(1, len(fitting) // count)][:count]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def _alike(found: Any, expected: Any) -> bool:
    """Whether two answers are the same but for the last bits of their numbers."""
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_alike, found, expected))
    if isinstance(found, float) or isinstance(expected, float):
        numbers = all(isinstance(one, int | float) for one in (found, expected))
        return numbers and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == expected)


def _short(answers: Any) -> str:
    if isinstance(answers, list):
        return "[" + ", ".join(map(_short, answers)) + "]"
    return f"{answers:.4f}" if isinstance(answers, float) else str(answers)
