"""What served is folded from releases and reverts alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from governance.ledger.log import Entry
from governance.review.entries import fold

START = datetime(2026, 3, 1, tzinfo=UTC)


def entry(kind: str, seq: int, evidence: str, previous: str | None = None) -> Entry:
    data: dict[str, Any] = {"evidence": evidence, "previous": {"evidence": previous} if previous else None}
    at = START + timedelta(hours=seq)
    return Entry(seq, kind, "loan", "p-1", f"{kind}:{seq}", at, data, "pipeline", "", "")


def served(*changes: Entry) -> list[tuple[str, int, int | None]]:
    """Evidence, and the number of the entry that began and ended its time."""

    def number(moment: datetime | None) -> int | None:
        return None if moment is None else int((moment - START).total_seconds() // 3600)

    return [(term.release.data["evidence"], number(term.since), number(term.until)) for term in fold(changes)]


def test_before_the_first_release_nothing_serves():
    assert served() == []


def test_a_release_serves_until_the_next_one():
    assert served(entry("release", 1, "a"), entry("release", 5, "b", "a")) == [("a", 1, 5), ("b", 5, None)]


def test_a_failed_attempt_changes_nothing():
    failed = entry("revert", 4, "b", "a")

    assert served(entry("release", 1, "a"), failed) == [("a", 1, None)]


def test_a_revert_of_what_serves_brings_back_the_one_before():
    changes = entry("release", 1, "a"), entry("release", 2, "b", "a"), entry("revert", 3, "b", "a")

    assert served(*changes) == [("a", 1, 2), ("b", 2, 3), ("a", 3, None)]


def test_a_revert_of_the_first_release_leaves_nothing():
    assert served(entry("release", 1, "a"), entry("revert", 2, "a")) == [("a", 1, 2)]


def test_the_number_in_the_ledger_is_the_order_not_the_order_of_reading():
    assert served(entry("release", 5, "b", "a"), entry("release", 1, "a")) == [("a", 1, 5), ("b", 5, None)]


def test_a_failed_first_attempt_leaves_nothing():
    assert served(entry("revert", 1, "a")) == []
