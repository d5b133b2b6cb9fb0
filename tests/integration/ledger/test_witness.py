"""The witness finds what no look at the database alone can, and signs nothing that is not whole."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.errors import TamperedError
from governance.keys import PublicKeys, Signer
from governance.ledger.hashes import chain_of, leaf_of
from governance.ledger.verify import verify
from governance.ledger.witness import last, look

pytestmark = pytest.mark.integration


class Witness:
    """The witness of one ledger: its key and its file."""

    def __init__(self, database, file: Path) -> None:
        key = Ed25519PrivateKey.generate()
        self.database, self.file = database, file
        self.signer, self.keys = Signer("witness", key), PublicKeys({"witness": key.public_key()})

    def look(self):
        return look(self.database.ledger("witness"), self.signer, self.keys, self.file)

    @property
    def last(self):
        return last(self.file, self.keys)


@pytest.fixture
def witness(database, tmp_path) -> Witness:
    return Witness(database, tmp_path / "witness" / "checkpoints.jsonl")


def append(database, first: int, count: int) -> None:
    ledger = database.ledger()
    for number in range(first, first + count):
        ledger.append("run", "loan", {"n": number}, actor="p-1", key=f"run:{number}")


def rewrite(database, seq: int) -> None:
    """Change an entry, and every hash after it, as a superuser who knows how."""
    with database.connect("postgres") as connection:
        rows = connection.execute(f"SELECT seq, body, chain FROM ledger.entry WHERE seq >= {seq - 1} ORDER BY seq")
        (_, _, chain), *after = rows.fetchall()
    for number, body, _ in after:
        body = body.replace(b'"n":', b'"n":1', 1) if number == seq else body
        leaf = leaf_of(body)
        chain = chain_of(number, chain, leaf)
        database.tamper(
            "UPDATE ledger.entry SET body = %s, leaf = %s, chain = %s WHERE seq = %s", body, leaf, chain, number
        )


def test_it_signs_the_head_and_writes_it_into_the_ledger_for_everybody(database, witness):
    append(database, 1, 5)

    report, new = witness.look()

    assert (report.whole, new.head.seq) == (True, 5)
    assert witness.last == new
    [entry] = database.ledger("auditor").find(kind="checkpoint")
    signature = entry.data["signature"]
    witness.keys.verify({k: v for k, v in entry.data.items() if k != "signature"}, signature, "checkpoint", "witness")


def test_its_own_checkpoint_is_nothing_new(database, witness):
    append(database, 1, 5)
    witness.look()

    _, again = witness.look()

    assert again is None
    append(database, 6, 1)
    assert witness.look()[1].head.seq == 7


def test_a_consistent_rewrite_is_found_though_the_ledger_verifies_by_itself(database, witness):
    append(database, 1, 8)
    witness.look()
    rewrite(database, 4)
    assert verify(database.ledger("auditor")).whole, "nothing inside the database shows it"

    report, new = witness.look()

    assert not report.whole
    assert new is None
    assert {fault.seq for fault in report.faults} == {8}


def test_a_ledger_that_was_cut_is_found(database, witness):
    append(database, 1, 8)
    witness.look()
    database.tamper("DELETE FROM ledger.entry WHERE seq >= 7")

    report, new = witness.look()

    assert (report.whole, new) == (False, None)


def test_a_memory_that_somebody_changed_is_refused(database, witness):
    append(database, 1, 3)
    witness.look()
    document = json.loads(witness.file.read_text())
    witness.file.write_text(json.dumps({**document, "seq": 2}) + "\n")

    with pytest.raises(TamperedError, match="checkpoint signature"):
        witness.look()


def test_a_ledger_that_was_made_anew_is_not_taken_for_the_old_one(database, witness):
    append(database, 1, 3)
    witness.look()
    with database.connect("postgres") as connection:
        connection.execute("ALTER TABLE ledger.origin DISABLE TRIGGER ALL")
        connection.execute("UPDATE ledger.origin SET name = 'governance-ledger/another'")

    with pytest.raises(TamperedError):
        witness.look()
