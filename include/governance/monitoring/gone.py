"""What was let go: the rows of old windows, and the pages that show some of them.

Each stretch of windows that goes leaves an entry ``let_go`` in the ledger, written before anything is deleted. The
entries of the windows stay, with every digest, so the record verifies as before; only what the digests were of is gone.
Whoever opens such a window is told by which rule it went, and when.
"""

from governance.errors import InputError
from governance.ledger.log import Entry, Ledger

LET_GO = "let_go"
"""Kind of the ledger's entries."""


def let_go_of(ledger: Ledger, window: Entry) -> Entry | None:
    """Return the entry by which a window was let go; ``None`` where it was not.

    Args:
        ledger: The record.
        window: The window's entry.
    """
    found = ledger.find(LET_GO, window.subject, after=window.seq)
    return next((entry for entry in found if window.seq <= entry.data["through"]), None)


def sentence_of(entry: Entry) -> str:
    """Say when a window was let go, and by which rule."""
    data = entry.data
    named = f", as {', '.join(data['regulations'])} asks at least" if data["regulations"] else ""
    by = (
        f"policy {data['policy'][:12]} of {entry.subject}" if data["policy"] else "the longest floor, without a policy,"
    )
    return (
        f"Its rows, labels and pages were let go on {entry.at:%d %b %Y}: {by} keeps them {data['days']} days{named}. "
        f"What was measured of it and decided stays, and so do the digests."
    )


def expect_kept(ledger: Ledger, window: Entry) -> None:
    """Refuse to open a window that was let go.

    Raises:
        InputError: It was; the message says by which rule, and when.
    """
    entry = let_go_of(ledger, window)
    if entry is not None:
        raise InputError(f"The window of {window.subject} that ended on {window.data['until']} cannot be opened. "
                         f"{sentence_of(entry)}")  # fmt: skip
