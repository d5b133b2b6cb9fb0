"""How long predictions are kept: at least as long as the law asks, and no longer than somebody decided.

The floors stand in one table, :data:`FLOORS`. A setting below the floor of a regulation that holds for the model is
refused; the database refuses on its own whatever is younger than the floor that holds for every model.

Segments go as a whole, days as a whole where nobody needs a row of them any more; labels and protected values of that
age go too. What remains of a segment is its line with digest and count, so that its absence is explained.

Not guaranteed: that a floor is enough. A dispute, an investigation or a contract may ask for more; and the 25 months
of Regulation B run from the notice to the applicant, which may be later than the prediction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from governance.errors import InputError, RefusedError
from governance.predictions.database import Database


@dataclass(frozen=True)
class Floor:
    """What a regulation asks for at least.

    Attributes:
        days: So many days.
        words: The regulation's own words for it.
        source: Where it says so.
        everybody: Whether it is taken to hold for every model here, named or not.
    """

    days: int
    words: str
    source: str
    everybody: bool = False


FLOORS: Mapping[str, Floor] = {
    "eu_ai_act": Floor(
        184,
        "at least six months",
        "Regulation (EU) 2024/1689, Art. 19(1) (providers) and 26(6) (deployers): logs of high-risk AI systems",
        everybody=True,
    ),
    "reg_b": Floor(
        762,
        "25 months",
        "12 CFR 1002.12(b)(1) (Regulation B): records of applications for credit",
    ),
}
"""By the name under which a policy says that a regulation holds. Six months and 25 months at their longest."""

DEFAULT_DAYS = max(floor.days for floor in FLOORS.values())
"""How long a model's predictions stay where nobody decided."""


@dataclass(frozen=True)
class Retention:
    """How long one model's predictions stay.

    Attributes:
        days: So many days.
        regulations: Which of :data:`FLOORS` hold for the model, besides those that hold for everybody.
    """

    days: int
    regulations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retired:
    """What went.

    Attributes:
        segments: Segments whose rows are gone.
        days: Days that were dropped as a whole.
    """

    segments: int
    days: int


def check(model: str, retention: Retention) -> None:
    """Refuse a setting that keeps less than a regulation asks for.

    Raises:
        InputError: A regulation is not known.
        RefusedError: The setting is below a floor; the message names the regulation.
    """
    unknown = sorted(set(retention.regulations) - set(FLOORS))
    if unknown:
        raise InputError(f"Expected regulations among {', '.join(FLOORS)} for {model}, found {', '.join(unknown)}.")
    for name, floor in FLOORS.items():
        if (floor.everybody or name in retention.regulations) and retention.days < floor.days:
            raise RefusedError(
                f"Expected predictions of {model} to be kept {floor.days} days or longer ({floor.words}: "
                f"{floor.source}), found {retention.days}. Raise it, or have the policy say why this does not hold."
            )


def retain(
    dsn: str, by_model: Mapping[str, Retention], *, otherwise: int = DEFAULT_DAYS, now: datetime | None = None
) -> Retired:
    """Let go of what is older than it has to be kept.

    Args:
        dsn: PostgreSQL address, as ``pipeline``.
        by_model: Model → how long its predictions stay.
        otherwise: Days for every other model.
        now: From when days are counted back.

    Raises:
        RefusedError: A setting is below a floor; nothing was let go.
        UnavailableError: The database does not answer.
    """
    for model, retention in by_model.items():
        check(model, retention)
    check("every other model", Retention(otherwise))
    at = now or datetime.now(UTC)
    moments = {model: (at - timedelta(days=one.days)).isoformat() for model, one in by_model.items()}
    values = (json.dumps(moments), at - timedelta(days=otherwise))
    database = Database(dsn)
    try:
        row = database.read(
            lambda connection: connection.execute("SELECT * FROM predictions.retain(%s, %s)", values).fetchone(),
            "let go of old predictions",
        )
    finally:
        database.close()
    return Retired(*(row or (0, 0)))
