"""The ledger as the rest of the code sees it: append an entry, read entries back, keep text that can be erased.

An entry says what happened (``kind``) to which model (``subject``), on whose word (``actor``, a pseudonymous id), and
carries ``data``. It is written once under an idempotency ``key``: who appends the same key again gets the entry that is
there, so a task that runs twice records once. The bytes that are hashed are the bytes that are stored; everything read
back is recomputed from them, and a row that does not fit raises ``TamperedError`` with its number.

The database decides, not this client: ``ledger.append`` (schema.sql) takes only the body, computes the hashes, and
refuses an entry whose ``writer`` is not the login that calls, or whose kind that login may not write. So ``writer`` is
authenticated, while ``actor`` is the writer's word.

Durability. An append returns once it is on disk; the wait happens after the queue (``ledger.flush``), so that many
writers share it. In between, for a moment, others can read the entry although a crash of the server could still undo
it. Whatever they append because of it becomes durable only together with it: what survives a crash is always a whole
beginning of the ledger. So act on an entry after appending that you do, not before.

Time. ``at`` is the writer's clock, since it stands in the hashed body. The database refuses what is more than 60 s off
its own clock, and what lies more than 120 s before the latest entry (twice 60 s, which is what two honest workers can
differ by). So a clock that is set back stops appends instead of back-dating them; ``seq``, not ``at``, is the order.

Not guaranteed here: that nobody rewrote a whole tail consistently (verify.py says what can be found), and that the
DSN leads to the right ledger unless ``origin`` is given.

Keys are unique over all writers, first come, first served: what finds its key on an entry of another kind, subject or
writer fails, and is never mistaken for recorded. A key that begins with a kind and a colon (``decision:…``) is kept for
those who may write that kind, so that a worker cannot take the key of a decision before it is made.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from governance import canonical
from governance.errors import InputError, TamperedError
from governance.ledger.connection import Connections
from governance.ledger.hashes import VERSION, from_timestamp, to_timestamp
from governance.ledger.rows import COLUMNS, Row, faults_of, read_body

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Json = Any
Result = TypeVar("Result")

PAGE = 16
"""Entries in one page of :meth:`Ledger.backwards`."""

REMEMBERED = 256
"""So many checked rows are kept, to save a process that asks again and again from checking them again and again."""

SCHEMA = Path(__file__).with_name("schema.sql")


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger.

    Attributes:
        seq: Its number: 1, 2, 3 … without a gap.
        kind: What happened: ``evidence``, ``decision``, ``release`` …
        subject: The model's name.
        actor: On whose word: the pseudonymous id of a person, or the name of a service.
        key: The idempotency key.
        at: The writer's clock, UTC.
        data: What the entry says.
        writer: The database login that appended it.
        leaf: Leaf hash of the body, 64 hexadecimal digits.
        chain: Hash over this entry and all before it, 64 hexadecimal digits.
        created: Whether this call wrote it; ``False`` for an entry that was there before.
        body: The bytes that are hashed.
    """

    seq: int
    kind: str
    subject: str
    actor: str
    key: str
    at: datetime
    data: Mapping[str, Json]
    writer: str
    leaf: str
    chain: str
    created: bool = False
    body: bytes = field(default=b"", repr=False)


class Ledger:
    """A ledger in PostgreSQL, seen with the rights of the login in its DSN. Safe to share between threads.

    Args:
        dsn: PostgreSQL address with the role of this process's identity.
        origin: The name of the ledger that is expected. Without it, the first answer is believed, and every later
            connection must give the same.
    """

    def __init__(self, dsn: str, origin: str | None = None) -> None:
        self._dsn = dsn
        self._origin = origin
        self._login = ""
        self._connections = Connections(dsn, self._greet)
        self._checked: dict[int, tuple[Row, Entry]] = {}

    def __reduce__(self) -> tuple[type["Ledger"], tuple[str, str | None]]:
        """Another process gets connections of its own."""
        return Ledger, (self._dsn, self._origin)

    def append(self, kind: str, subject: str, data: Mapping[str, Json], *, actor: str, key: str) -> Entry:
        """Append an entry and return once it is durable.

        Args:
            kind: What happened; one of the kinds that this login may write (``hashes.RIGHTS``).
            subject: The model's name.
            data: What the entry says: plain JSON values, no personal data (see :meth:`keep`).
            actor: Pseudonymous id of the person, or the name of the service, on whose word it is written.
            key: Idempotency key. Where it is known, the recorded entry comes back with ``created=False``,
                whatever ``data`` says; compare where that matters.

        Raises:
            InputError: The entry has no canonical form, or a part of it is missing or too long.
            RefusedError: This login may not write this kind, the key belongs to another kind, subject or writer,
                or the clock of this machine is wrong.
            TamperedError: The ledger is not the one that was expected.
            UnavailableError: No acknowledgement came. Appending again with the same key is safe.
        """
        entry = {"v": VERSION, "kind": kind, "subject": subject, "actor": actor, "key": key, "data": dict(data)}
        at = to_timestamp(datetime.now(UTC))
        sent: set[bytes] = set()

        def send(connection: "Connection") -> Entry:
            body = canonical.to_bytes({**entry, "at": at, "log": self._origin, "writer": self._login})
            # Where the reply to the first attempt was lost, its own entry is what the second one finds.
            again = body in sent
            sent.add(body)
            row = connection.execute("SELECT * FROM ledger.append(%s)", (body,), binary=True).fetchone()
            connection.execute("SELECT ledger.flush()")
            return _appended(row, body, again)

        return self._connections.call(send, f"append the {kind} entry “{key}”")

    def get(self, key: str) -> Entry | None:
        """Return the entry with this idempotency key, or ``None``.

        Raises:
            TamperedError: The row does not fit its own bytes.
            UnavailableError: The ledger does not answer.
        """
        return next(iter(self._select("WHERE key = %s", (key,))), None)

    def find(
        self,
        kind: str | None = None,
        subject: str | None = None,
        after: int = 0,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        """Return entries in the order in which they were written.

        Args:
            kind: Only this kind.
            subject: Only this model.
            after: Only entries with a higher number.
            newest_first: Turn the order round.
            limit: At most so many.

        Raises:
            TamperedError: A row does not fit its own bytes; the message names it.
            UnavailableError: The ledger does not answer.
        """
        conditions: list[tuple[str, Json]] = [("seq > %s", after)]
        conditions += [("kind = %s", kind)] if kind is not None else []
        conditions += [("subject = %s", subject)] if subject is not None else []
        where = " AND ".join(condition for condition, _ in conditions)
        order = "DESC" if newest_first else "ASC"
        return self._select(
            f"WHERE {where} ORDER BY seq {order} LIMIT %s", (*(value for _, value in conditions), limit)
        )

    def backwards(self, kind: str, subject: str | None = None) -> Iterator[Entry]:
        """Yield entries of a kind from the newest on, read page by page: for who needs the last few of many.

        Raises:
            TamperedError: A row does not fit its own bytes; the message names it.
            UnavailableError: The ledger does not answer.
        """
        condition = "kind = %s" if subject is None else "kind = %s AND subject = %s"
        wanted = (kind,) if subject is None else (kind, subject)
        query, before = f"WHERE {condition} AND seq < %s ORDER BY seq DESC LIMIT {PAGE}", 2**62
        while page := self._select(query, (*wanted, before)):
            yield from page
            before = page[-1].seq

    def kinds(self) -> list[str]:
        """Return every kind of entry that there is, by name."""
        query = "SELECT DISTINCT kind FROM ledger.entry ORDER BY kind"
        return self.read(lambda connection, _: [str(kind) for (kind,) in connection.execute(query)], "list kinds")

    def ping(self) -> None:
        """Return when the ledger answers and is the one that is expected.

        Raises:
            TamperedError: Another ledger answers.
            UnavailableError: None answers.
        """
        self._connections.call(self._greet, "answer")

    def subjects(self, kind: str) -> list[str]:
        """Return every model that has an entry of a kind, by name."""
        query = "SELECT DISTINCT subject FROM ledger.entry WHERE kind = %s ORDER BY subject"
        return self.read(
            lambda connection, _: [str(subject) for (subject,) in connection.execute(query, (kind,))], "list subjects"
        )

    def says(self, kind: str, subject: str, text: str, *, after: int = 0) -> bool:
        """Say whether an entry of a kind, on a model and with a higher number, has a text in its body."""
        query = "SELECT 1 FROM ledger.entry WHERE kind = %s AND subject = %s AND seq > %s AND position(%s IN body) > 0"
        values = (kind, subject, after, text.encode())
        return self._one(f"{query} LIMIT 1", values, "look for a text") is not None

    @property
    def login(self) -> str:
        """The database's login of this process; what it may write is :data:`governance.ledger.hashes.RIGHTS`."""
        self.ping()
        return self._login

    @property
    def origin(self) -> str:
        """The name of this ledger, made once and part of every entry."""
        self.ping()
        return str(self._origin)

    def close(self) -> None:
        """Close the idle connections; a later call opens new ones."""
        self._connections.close()

    def keep(self, text: str) -> dict[str, str]:
        """Keep personal data where it can be erased, and return what an entry may hold in its place.

        The text lies in a table outside the hashes, with 32 random bytes of salt. The commitment says nothing about
        the text once the salt is gone. Only the review identity may keep, recall and erase.

        Returns:
            ``{"id": …, "commitment": …}``; the id contains the commitment.

        Raises:
            RefusedError: This login may not.
            UnavailableError: No acknowledgement came.
        """
        salt = secrets.token_bytes(32)
        commitment = _commitment(salt, text)
        name = f"text-{commitment}"
        self._one("SELECT ledger.keep(%s, %s, %s)", (name, salt, text), "keep a text")
        return {"id": name, "commitment": commitment}

    def recall(self, name: str) -> str | None:
        """Return the text with this id, or ``None`` if it was erased.

        Raises:
            TamperedError: It is not the text that was committed to, or it is gone without having been erased.
            RefusedError: This login may not.
        """
        row = self._one("SELECT * FROM ledger.recall(%s)", (name,), "recall a text")
        if row is None:
            raise TamperedError(f"Expected {name} in ledger.erasable, found no row, not even that of an erased text.")
        salt, text = row
        if text is not None and name != f"text-{_commitment(salt, text)}":
            raise TamperedError(f"Expected the text that {name} commits to, found another one in ledger.erasable.")
        return None if text is None else str(text)

    def erase(self, name: str) -> None:
        """Erase the text with this id, and its salt. Erasing twice is the same as once.

        The row stays, empty. Copies live on in PostgreSQL's dead rows until it vacuums, in its write-ahead log and in
        backups, for as long as those are kept.

        Raises:
            InputError: No text has this id.
            RefusedError: This login may not.
        """
        row = self._one("SELECT ledger.erase(%s)", (name,), "erase a text")
        if row is None or not row[0]:
            raise InputError(f"Expected a text with the id {name} in ledger.erasable, found none to erase.")

    def read(self, act: Callable[["Connection", str], Result], purpose: str) -> Result:
        """Return ``act(connection, origin)``, for readers such as the verifier.

        Args:
            act: Reads; is made twice if the server goes away meanwhile.
            purpose: What it is for, as an infinitive, for messages.

        Raises:
            UnavailableError: The ledger does not answer.
        """
        return self._connections.call(lambda connection: act(connection, str(self._origin)), purpose)

    def _select(self, condition: str, values: tuple[Json, ...]) -> list[Entry]:
        query = f"SELECT {COLUMNS} FROM ledger.entry {condition}"
        return self.read(
            lambda connection, origin: [
                self._sound(Row._make(row), origin) for row in connection.execute(query, values, binary=True)
            ],
            "read entries",
        )

    def _sound(self, row: Row, origin: str) -> Entry:
        """Return the entry of a row; one that is byte for byte what was checked before is not checked again."""
        known = self._checked.get(row.seq)
        if known is not None and known[0] == row:
            return known[1]
        entry = _checked(row, origin)
        if len(self._checked) >= REMEMBERED:
            self._checked.clear()
        self._checked[row.seq] = (row, entry)
        return entry

    def _one(self, query: str, values: Iterable[Json], purpose: str) -> tuple[Json, ...] | None:
        return self._connections.call(lambda connection: connection.execute(query, tuple(values)).fetchone(), purpose)

    def _greet(self, connection: "Connection") -> None:
        row = connection.execute("SELECT session_user, (SELECT name FROM ledger.origin)").fetchone()
        login, origin = row or (None, None)
        if origin is None or (self._origin or origin) != origin:
            raise TamperedError(
                f"Expected the ledger {self._origin or 'to have a name'}, found {origin}: this is another ledger. "
                f"Correct GOVERNANCE_LEDGER_URL, or find out who replaced the database."
            )
        self._login, self._origin = str(login), str(origin)


def install(dsn: str) -> None:
    """Apply schema.sql; harmless where it is applied already.

    Args:
        dsn: PostgreSQL address of a superuser.

    Raises:
        UnavailableError: The database does not answer.
        GovernanceError: It refused; the message says why.
    """
    connections = Connections(dsn, lambda _: None)
    try:
        connections.call(lambda connection: connection.execute(SCHEMA.read_bytes()), "apply its schema")
    finally:
        connections.close()


def _checked(row: Row, origin: str) -> Entry:
    faults = [f"{fault.column}: {fault.message}" for fault in faults_of(row, origin)]
    if faults:
        raise TamperedError(
            f"Entry {row.seq} of the ledger was changed after it was written ({'; '.join(faults)}). "
            f"Run `governance ledger verify`."
        )
    return _entry(row.seq, row.body, row.leaf, row.chain, created=False)


def _appended(row: tuple[Json, ...] | None, sent: bytes, sent_before: bool) -> Entry:
    if row is None:
        raise TamperedError("Expected the ledger to return the entry it appended, found nothing.")
    seq, body, leaf, chain, created = row
    entry = _entry(seq, body, leaf, chain, created=created or (sent_before and body == sent))
    if (body if created else entry.key) != (sent if created else read_body(sent)["key"]):
        raise TamperedError(f"Expected the ledger to return the entry that was appended, found entry {seq}.")
    return entry


def _entry(seq: int, body: bytes, leaf: bytes, chain: bytes, *, created: bool) -> Entry:
    document = read_body(body)
    return Entry(
        seq=seq,
        kind=document["kind"],
        subject=document["subject"],
        actor=document["actor"],
        key=document["key"],
        at=from_timestamp(document["at"]),
        data=document["data"],
        writer=document["writer"],
        leaf=leaf.hex(),
        chain=chain.hex(),
        created=created,
        body=body,
    )


def _commitment(salt: bytes, text: str) -> str:
    return sha256(b"governance-erasable-v1\x00" + salt + text.encode()).hexdigest()
