"""How rows hang together, and which row is to blame where they do not.

A row's *link* is sound if its chain hash follows from the row before. One changed row can break two links, its own and
the next one's, so the rows to blame are found from runs of broken links:

* a run of one: the row's own chain hash is wrong, or the row before was rewritten together with its hashes. The fault
  stands at the row and names both;
* a longer run: all rows of it but the last, whose link is broken only because the row before it is wrong. (At the very
  end of the ledger the last one is named as well, for no later row speaks for it; so is a sound row that stands alone
  between two changed ones.)

Where only one of body and leaf hash was changed, the chain hash tells which.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from governance.ledger.hashes import BEFORE_THE_FIRST, chain_of, from_timestamp, leaf_of
from governance.ledger.rows import TIMESTAMP, Row, faults_of_content, is_sound

BACKWARDS = timedelta(seconds=120)
"""How far an entry's time may lie before the latest one; the same as in schema.sql."""


@dataclass(frozen=True)
class Fault:
    """One inconsistency.

    Attributes:
        seq: The number of the entry.
        column: The column that is wrong; ``seq`` for rows that are missing or come twice.
        message: What was expected, what was found.
    """

    seq: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"entry {self.seq}, {self.column}: {self.message}"


class Place(NamedTuple):
    """A place in the ledger: after the entry ``seq``, whose chain hash is ``chain``; no time so far was later."""

    seq: int
    chain: bytes
    latest: str


BEGINNING = Place(0, BEFORE_THE_FIRST, "")


class Walk:
    """Goes through rows in order of ``seq`` and says what does not fit.

    Args:
        origin: The name of the ledger that every entry must give.
        start: Where the first row must continue.

    Attributes:
        entries: How many rows were seen.
        seq: The number of the last row.
        chain: Its chain hash.
    """

    def __init__(self, origin: str, start: Place = BEGINNING) -> None:
        self.entries = 0
        self.seq, self.chain, self._latest = start
        self._origin = origin
        self._bases: set[bytes] = {self.chain}
        self._run: list[int] = []

    @property
    def place(self) -> Place:
        """Where the walk is."""
        return Place(self.seq, self.chain, self._latest)

    def faults(self, rows: Iterable[Row]) -> Iterator[Fault]:
        """Yield every fault of ``rows``, the last ones when they end."""
        for row in rows:
            self.entries += 1
            if self._continues(row):
                self._bases = {row.chain}
                self._latest = row.at
            else:
                yield from self._examine(row)
            self.seq, self.chain = row.seq, row.chain
        yield from self._blame_last()

    def _continues(self, row: Row) -> bool:
        """Whether the row is sound and follows a sound one: what nearly all rows do, found out quickly."""
        leaf = leaf_of(row.body)
        return (
            row.seq == self.seq + 1
            and row.leaf == leaf
            and row.chain == chain_of(row.seq, self.chain, leaf)
            and row.at >= self._latest
            and not self._run
            and is_sound(row, self._origin)
        )

    def _examine(self, row: Row) -> Iterator[Fault]:
        yield from self._gap(row)
        yield from self._link(row)
        for column, message in faults_of_content(row, self._origin):
            yield Fault(row.seq, column, message)
        yield from self._time(row)

    def _gap(self, row: Row) -> Iterator[Fault]:
        if row.seq == self.seq + 1:
            return
        yield from self._blame_last()
        self._bases = set()
        if row.seq <= self.seq:
            yield Fault(row.seq, "seq", f"expected entry {self.seq + 1}, found entry {row.seq} once more")
            return
        missing = f"{self.seq + 1}" if row.seq == self.seq + 2 else f"{self.seq + 1} to {row.seq - 1}"
        yield Fault(self.seq + 1, "seq", f"expected entry {missing}, found none: the next one is {row.seq}")

    def _link(self, row: Row) -> Iterator[Fault]:
        leaf = leaf_of(row.body)
        follows = {chain_of(row.seq, base, leaf) for base in self._bases}
        if leaf != row.leaf:
            with_stored = {chain_of(row.seq, base, row.leaf) for base in self._bases}
            column = "body" if row.chain in with_stored else "leaf"
            yield Fault(row.seq, column, f"expected leaf hash {leaf.hex()} of the body, found {row.leaf.hex()}")
            follows |= with_stored
        sound = not self._bases or row.chain in follows
        yield from self._sound() if sound else self._broken(row.seq)
        self._bases = {row.chain} if sound else {row.chain, *follows}

    def _sound(self) -> Iterator[Fault]:
        if len(self._run) == 1:
            yield self._blamed()
        self._run = []

    def _broken(self, seq: int) -> Iterator[Fault]:
        if self._run:
            yield self._blamed()
        self._run.append(seq)

    def _blame_last(self) -> Iterator[Fault]:
        if self._run:
            yield self._blamed()
        self._run = []

    def _blamed(self) -> Fault:
        seq = self._run[-1]
        message = "its chain hash does not follow from the entry before it"
        if len(self._run) == 1 and seq > 1:
            message += f": it was changed, or entry {seq - 1} was rewritten together with its hashes"
        return Fault(seq, "chain", message)

    def _time(self, row: Row) -> Iterator[Fault]:
        if row.at >= self._latest or not (TIMESTAMP.fullmatch(row.at) and TIMESTAMP.fullmatch(self._latest)):
            self._latest = max(row.at, self._latest)
        elif from_timestamp(self._latest) - from_timestamp(row.at) > BACKWARDS:
            yield Fault(row.seq, "at", f"expected a time near or after {self._latest}, found {row.at}")
