"""What a superuser changes behind the ledger's back, and what the verifier says of it."""

import random

import pytest
from independent_verifier import complaints

from governance.ledger import verify as verify_module
from governance.ledger.hashes import chain_of, leaf_of
from governance.ledger.verify import Anchor, verify

pytestmark = pytest.mark.integration

ENTRIES = 24


@pytest.fixture
def filled(database):
    ledger = database.ledger()
    for number in range(1, ENTRIES + 1):
        data = {"n": number, "value": number / 7, "text": "größer" * (number % 3)}
        ledger.append("run", f"model-{number % 3}", data, actor=f"p-{number % 5}", key=f"run:{number}")
    assert verify(database.ledger("auditor")).whole
    assert complaints(database.dsn("auditor")) == {}
    return database


def faults(database, anchor=None):
    report = verify(database.ledger("auditor"), anchor)
    # The second verifier knows no anchors and no columns, but must never disagree on the whole.
    if anchor is None:
        assert report.whole == (not complaints(database.dsn("auditor")))
    return {(fault.seq, fault.column) for fault in report.faults}


def rows_at_fault(database):
    return {seq for seq, _ in faults(database)}


@pytest.mark.parametrize("column", ["body", "leaf", "chain"])
def test_any_one_flipped_bit_is_found_in_its_row_and_column(filled, column):
    choose = random.Random(column)
    with filled.connect("postgres") as connection:
        sizes = dict(connection.execute(f"SELECT seq, 8 * octet_length({column}) FROM ledger.entry"))
    for _ in range(15):
        seq = choose.randint(1, ENTRIES)
        bit = choose.randrange(sizes[seq])
        flip(filled, column, seq, bit)

        found = faults(filled)

        assert {seq} == {row for row, _ in found}
        assert (seq, column) in found
        flip(filled, column, seq, bit)
    assert set() == faults(filled)


def flip(database, column, seq, bit):
    flipped = f"set_bit({column}, %s, 1 - get_bit({column}, %s))"
    database.tamper(f"UPDATE ledger.entry SET {column} = {flipped} WHERE seq = %s", bit, bit, seq)


@pytest.mark.parametrize("column", ["kind", "subject", "actor", "key", "writer"])
def test_one_flipped_bit_in_a_copied_column_is_found(filled, column):
    filled.tamper(
        f"UPDATE ledger.entry SET {column} = chr(ascii({column}) # 1) || substr({column}, 2) WHERE seq = 7",
    )

    assert {(7, column)} == faults(filled)


def test_a_time_off_by_a_microsecond_is_found(filled):
    filled.tamper("UPDATE ledger.entry SET at = at + interval '1 microsecond' WHERE seq = 7")

    assert {(7, "at")} == faults(filled)


@pytest.mark.parametrize("bit", [0, 5, 20, 40])
def test_one_flipped_bit_in_a_number_is_found(filled, bit):
    filled.tamper("UPDATE ledger.entry SET seq = seq # (1::bigint << %s) WHERE seq = 24", bit)

    assert 24 in rows_at_fault(filled) or (24 ^ 1 << bit) in rows_at_fault(filled)


@pytest.mark.parametrize("seq", [1, 2, 12, ENTRIES - 1])
def test_a_deleted_row_is_found(filled, seq):
    filled.tamper("DELETE FROM ledger.entry WHERE seq = %s", seq)

    assert {(seq, "seq")} == faults(filled)


def test_deleted_rows_are_named_as_a_range(filled):
    filled.tamper("DELETE FROM ledger.entry WHERE seq BETWEEN 5 AND 9")

    [fault] = verify(filled.ledger("auditor")).faults

    assert str(fault) == "entry 5, seq: expected entry 5 to 9, found none: the next one is 10"


@pytest.mark.parametrize(("one", "other"), [(3, 17), (8, 9), (1, 2)])
def test_swapped_rows_are_found(filled, one, other):
    filled.tamper("ALTER TABLE ledger.entry DROP CONSTRAINT entry_seq_check, DROP CONSTRAINT entry_pkey")
    filled.tamper("UPDATE ledger.entry SET seq = %s - seq WHERE seq IN (%s, %s)", one + other, one, other)

    assert {(one, "chain"), (other, "chain")} == faults(filled)


def test_a_repeated_row_is_found(filled):
    filled.tamper("ALTER TABLE ledger.entry DROP CONSTRAINT entry_pkey, DROP CONSTRAINT entry_key_key")
    filled.tamper("INSERT INTO ledger.entry SELECT * FROM ledger.entry WHERE seq = 5")

    assert (5, "seq") in faults(filled)
    assert {5} == rows_at_fault(filled)


def test_a_row_repeated_at_the_end_is_found_by_its_key_and_its_chain(filled):
    filled.tamper("ALTER TABLE ledger.entry DROP CONSTRAINT entry_key_key")
    filled.tamper(
        "INSERT INTO ledger.entry SELECT 25, body, leaf, chain, kind, subject, actor, key, at, writer "
        "FROM ledger.entry WHERE seq = 5"
    )

    assert {(25, "chain"), (25, "key")} == faults(filled)


def test_an_inserted_row_is_found_with_all_that_it_moved(filled):
    filled.tamper("ALTER TABLE ledger.entry DROP CONSTRAINT entry_pkey, DROP CONSTRAINT entry_key_key")
    filled.tamper("UPDATE ledger.entry SET seq = seq + 1 WHERE seq >= 20")
    filled.tamper(
        "INSERT INTO ledger.entry SELECT 20, body, leaf, chain, kind, subject, actor, key, at, writer "
        "FROM ledger.entry WHERE seq = 5"
    )

    assert {20, 21, 22, 23, 24, 25} == rows_at_fault(filled)


def rewrite(database, seq, old, new, *, until):
    """Change the body of one entry and recompute the hashes from there on, up to and including ``until``."""
    with database.connect("postgres") as connection:
        rows = connection.execute("SELECT seq, body, chain FROM ledger.entry ORDER BY seq").fetchall()
    chain = rows[seq - 2][2]
    for number, body, _ in rows[seq - 1 : until]:
        changed = body.replace(old, new) if number == seq else body
        chain = chain_of(number, chain, leaf_of(changed))
        database.tamper(
            "UPDATE ledger.entry SET body = %s, leaf = %s, chain = %s WHERE seq = %s",
            changed, leaf_of(changed), chain, number,
        )  # fmt: skip


def test_a_row_rewritten_with_its_own_hashes_breaks_the_chain_after_it(filled):
    rewrite(filled, 9, b'"n":9', b'"n":0', until=9)

    assert {(10, "chain")} == faults(filled)
    assert "or entry 9 was rewritten together with its hashes" in str(verify(filled.ledger("auditor")).faults[0])


def test_a_tail_rewritten_consistently_is_found_only_with_an_anchor(filled):
    head = verify(filled.ledger("auditor")).head
    noted = filled.ledger("auditor").find()[14]
    rewrite(filled, 9, b'"n":9', b'"n":0', until=ENTRIES)

    assert set() == faults(filled)
    assert {(ENTRIES, "chain")} == faults(filled, head)
    assert {(15, "chain")} == faults(filled, Anchor(noted.seq, noted.chain))


@pytest.mark.parametrize("kept", [0, 1, ENTRIES - 1])
def test_a_tail_cut_off_is_found_only_with_an_anchor(filled, kept):
    head = verify(filled.ledger("auditor")).head
    filled.tamper("DELETE FROM ledger.entry WHERE seq > %s", kept)

    assert set() == faults(filled)
    assert {(ENTRIES, "chain")} == faults(filled, head)


@pytest.mark.parametrize(("old", "new", "said"), [
    (b'"writer":"pipeline"', b'"writer":"auditor"', "that auditor may write"),
    (b'"kind":"run"', b'"kind":"permit"', "that pipeline may write"),
    (b'"log":"governance-ledger/', b'"log":"another-ledger/', "found one of another-ledger/"),
    (b'"v":1', b'"v":2', "expected version 1"),
    (b'"data":{', b'"data":{ ', "another form"),
    (b'"data":{', b'"data":{"n":1,', "a key appears twice"),
    (b'"subject":', b'"sUbject":', "expected an object of"),
])  # fmt: skip
def test_an_entry_forged_at_the_end_with_right_hashes_must_still_be_an_entry(filled, old, new, said):
    rewrite(filled, ENTRIES, old, new, until=ENTRIES)

    [first, *_] = verify(filled.ledger("auditor")).faults

    assert (first.seq, first.column) == (ENTRIES, "body")
    assert said in first.message


def test_time_that_runs_back_is_found(filled):
    at = filled.ledger().find()[-1].body
    start = at.index(b'"at":"')
    rewrite(filled, ENTRIES, at[start : start + 10], b'"at":"2001', until=ENTRIES)
    filled.tamper("UPDATE ledger.entry SET at = at - interval '1 year' * (extract(year FROM at) - 2001) WHERE seq = 24")

    assert (ENTRIES, "at") in faults(filled)


def test_two_processes_find_the_same_as_one(filled, monkeypatch):
    monkeypatch.setattr(verify_module, "PART", ENTRIES // 2)
    ledger = filled.ledger("auditor")
    with filled.connect("auditor") as connection:
        assert [place.seq for place in verify_module._places(connection, 2)] == [0, 12, ENTRIES]

    assert verify(ledger) == verify(ledger, processes=2)
    for column, seq in (("body", 3), ("chain", 12), ("leaf", 13)):
        flip(filled, column, seq, 3)
        assert not verify(ledger, processes=2).whole
        assert verify(ledger) == verify(ledger, processes=2)
        flip(filled, column, seq, 3)


def test_the_report_is_a_document(filled):
    document = verify(filled.ledger("auditor")).to_dict()

    assert {"origin", "entries", "head", "whole", "faults"} == document.keys()
    assert (document["entries"], document["whole"], document["faults"]) == (ENTRIES, True, [])
    assert document["head"]["seq"] == ENTRIES


def test_an_empty_ledger_is_whole(database):
    report = verify(database.ledger("auditor"))

    assert (report.whole, report.entries, report.head) == (True, 0, None)
