"""What served is folded from releases, rollbacks, reverts and stops alone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from governance.ledger.log import Entry
from governance.review.entries import Halt, fold, halt_after, serving, withdrawn

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


def test_a_release_a_rollback_a_stop_and_a_release_serve_one_after_the_other():
    changes = (
        entry("release", 1, "a"),
        entry("release", 2, "b", "a"),
        entry("rollback", 3, "a", "b"),
        entry("stop", 4, "a"),
        entry("release", 6, "c"),
    )

    assert served(*changes) == [("a", 1, 2), ("b", 2, 3), ("a", 3, 4), ("c", 6, None)]


def test_the_entry_that_brought_a_version_back_is_the_one_that_serves():
    found = fold([entry("release", 1, "a"), entry("release", 2, "b", "a"), entry("rollback", 3, "a", "b")])

    assert (found[-1].release.kind, found[-2].ended_by.kind) == ("rollback", "rollback")


def test_a_stop_of_what_does_not_serve_changes_nothing():
    assert served(entry("stop", 1, "a"), entry("release", 2, "a"), entry("stop", 3, "a"), entry("stop", 4, "a")) == [
        ("a", 2, 3)
    ]


def test_a_failed_release_after_a_stop_leaves_the_model_stopped():
    assert served(entry("release", 1, "a"), entry("stop", 2, "a"), entry("revert", 3, "b", "a")) == [("a", 1, 2)]


def test_what_was_taken_out_for_a_cause_is_withdrawn_and_what_was_followed_is_not():
    changes = [
        entry("release", 1, "a"),
        entry("release", 2, "b", "a"),
        entry("rollback", 3, "a", "b"),
        entry("release", 4, "c", "a"),
        entry("stop", 5, "c"),
    ]

    assert withdrawn(fold(changes)) == {"b": "rollback", "c": "stop"}


def test_what_was_withdrawn_and_served_again_until_a_release_followed_is_a_target_again():
    changes = [
        entry("release", 1, "a"),
        entry("release", 2, "b", "a"),
        entry("rollback", 3, "a", "b"),
        entry("rollback", 4, "b", "a"),
        entry("release", 5, "c", "b"),
    ]

    assert withdrawn(fold(changes)) == {"a": "rollback"}


def halt(*later: Entry) -> frozenset[str] | None:
    """What may be loaded after a stop; ``None`` where the stop is over."""
    found = halt_after(entry("stop", 10, "a"), later)
    return found.lifted if found else None


def test_a_stop_lasts_until_a_release_or_a_rollback():
    assert halt() == frozenset()
    assert halt(entry("release", 11, "b")) is None
    assert halt(entry("rollback", 11, "a")) is None


def test_what_is_on_its_way_may_be_loaded_and_nothing_else():
    assert halt(entry("resume", 11, "b")) == {"b"}


def test_what_failed_on_its_way_may_be_loaded_no_more():
    assert halt(entry("resume", 11, "b"), entry("revert", 12, "b")) == frozenset()
    assert halt(entry("resume", 11, "b"), entry("release", 12, "b"), entry("revert", 13, "b")) == frozenset()


def test_a_revert_to_a_version_that_was_released_since_the_stop_leaves_the_stop_over():
    later = entry("release", 11, "b"), entry("release", 12, "c", "b"), entry("revert", 13, "c", "b")

    assert halt(*later) is None


KINDS = ("release", "rollback", "revert", "stop", "resume")
HISTORIES = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("abc")), max_size=12)


def told(steps: list[tuple[str, str]]) -> list[Entry]:
    """A history in which every entry names what served before it, as the pipeline writes them."""
    found: list[Entry] = []
    for seq, (kind, evidence) in enumerate(steps, 1):
        current = serving(fold(changes_of(found)))
        before = current.data["evidence"] if current else None
        if kind == "revert" and before == evidence:
            before = found[-1].data["previous"]["evidence"] if found[-1].data["previous"] else None
        found.append(entry(kind, seq, evidence, before))
    return found


def changes_of(entries: list[Entry]) -> list[Entry]:
    return [one for one in entries if one.kind != "resume"]


@given(HISTORIES)
def test_stretches_follow_one_another_and_only_the_last_is_open(steps):
    found = fold(changes_of(told(steps)))

    assert all(term.until is not None for term in found[:-1])
    assert all(first.until <= second.since for first, second in pairwise(found))
    assert all(term.since < term.until for term in found if term.until)


@given(HISTORIES)
def test_what_served_then_is_what_was_served_at_that_moment(steps):
    """Folding the whole history answers for a moment what folding the history up to it answered then."""
    history = changes_of(told(steps))
    whole = fold(history)
    for count in range(1, len(history) + 1):
        then, at = serving(fold(history[:count])), history[count - 1].at
        served_then = [term.release for term in whole if term.since <= at and (term.until is None or at < term.until)]
        assert served_then == ([then] if then else [])


@given(HISTORIES)
def test_nothing_serves_while_a_stop_is_in_force(steps):
    history = told(steps)
    stops = [one for one in history if one.kind == "stop"]
    if stops:
        left = halt_after(stops[-1], [one for one in history if one.seq > stops[-1].seq])
        assert isinstance(left, Halt) <= (serving(fold(changes_of(history))) is None)
