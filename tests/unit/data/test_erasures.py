"""Rows that are erased from a snapshot: the digest stays, nothing of them is left, and every trick is found."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from governance import canonical
from governance.data import delta, erasures, snapshots
from governance.data.erasures import KIND, as_kept, erase
from governance.data.snapshots import DATA, PROTECTED, Snapshot, freeze, load, verify
from governance.errors import InputError, TamperedError, UnavailableError
from governance.ledger.log import Entry

ALICE, BOB = "A-alice", "A-bob"


@dataclass
class Memory:
    """A ledger that gives each key away once."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def find(self, kind: str, subject: str) -> list[Entry]:
        return [one for one in self.entries.values() if (one.kind, one.subject) == (kind, subject)]

    def append(self, kind: str, subject: str, data: dict[str, Any], *, actor: str, key: str) -> Entry:
        data = json.loads(json.dumps(data))
        entry = Entry(len(self.entries) + 1, kind, subject, actor, key, datetime.now(UTC), data, "pipeline", "", "")
        return self.entries.setdefault(key, entry)


def applicants(price=3.25):
    return pd.DataFrame(
        {
            "who": [ALICE, BOB, "A-carol", "A-dan"],
            "price": [1.5, np.nan, 2.0, price],
            "note": ["only alice wrote this", None, None, None],
            "sex": ["f", "m", "f", None],
        }
    )


def frozen_in(root, frame=None):
    frame = applicants() if frame is None else frame
    return freeze(frame, model="loan", root=str(root), protected_columns=["sex", "who"], subject="who")


@pytest.fixture
def frozen(tmp_path):
    return frozen_in(tmp_path)


@pytest.fixture
def ledger():
    return Memory()


def erased(ledger, frozen, *positions):
    erase(ledger, "loan", frozen, positions, reason="It was asked for.", actor="p-1")
    return as_kept(ledger, "loan", frozen.to_dict())


def parquet(frozen):
    return sorted(path for part in frozen.parts.values() for path in Path(part.uri).glob("*.parquet"))


def texts_on_disk(root):
    """The bytes of all files, and what is compressed in them."""
    found = [path for path in root.rglob("*") if path.is_file()]
    values = [str(pq.read_table(path).to_pydict()).encode() for path in found if path.suffix == ".parquet"]
    return b"".join([*values, *(path.read_bytes() for path in found)])


class TestFreezing:
    def test_what_is_loaded_is_what_was_frozen(self, frozen):
        both = load(frozen, DATA).join(load(frozen, PROTECTED))

        pd.testing.assert_frame_equal(both[list(applicants())], applicants())
        verify(frozen)

    def test_the_same_content_again_is_the_same_snapshot_without_a_second_copy(self, tmp_path, frozen):
        files = parquet(frozen)
        frozen_in(tmp_path, applicants(price=9.0))

        assert frozen_in(tmp_path, applicants()[["sex", "price", "note", "who"]]) == frozen
        assert set(files) <= set(parquet(frozen))
        assert len(parquet(frozen)) == 3  # two of the data, one of what is protected

    def test_elsewhere_the_same_content_has_another_digest(self, tmp_path, frozen):
        assert frozen_in(tmp_path / "elsewhere").digest != frozen.digest

    def test_the_record_survives_json(self, frozen):
        assert Snapshot.from_dict(json.loads(json.dumps(frozen.to_dict()))) == frozen
        assert frozen.to_dict()["subject"] == "who"

    def test_without_a_subject_nothing_is_as_new(self, tmp_path):
        plain = freeze(applicants(), model="loan", root=str(tmp_path), protected_columns=["sex"])

        assert "subject" not in plain.to_dict()
        said = {"format": "governance-snapshot/1", "rows": 4, "parts": {n: p.digest for n, p in plain.parts.items()}}
        assert plain.digest == canonical.digest(said)

    def test_deltas_log_holds_no_value_and_no_digest_of_values(self, frozen):
        logs = "".join(path.read_text() for path in Path(frozen.parts[DATA].uri).glob("_delta_log/*"))

        assert '\\"minValues\\":{}' in logs
        assert delta.DIGEST_KEY not in logs
        assert "only alice" not in logs

    @pytest.mark.parametrize(
        ("frame", "subject", "message"),
        [
            (applicants(), "name", "Expected the column 'name', which says whom a row is about, found who"),
            (applicants().rename(columns={"note": "__Salt"}), "who", "Expected no column '__Salt'"),
        ],
    )
    def test_what_cannot_be_committed_to_is_refused(self, tmp_path, frame, subject, message):
        with pytest.raises(InputError, match=message):
            freeze(frame, model="loan", root=str(tmp_path), subject=subject)


class TestErasing:
    def test_the_digest_stays_and_the_rest_is_loaded(self, ledger, frozen):
        kept = erased(ledger, frozen, 0)

        verify(kept)
        assert (kept.digest, kept.missing) == (frozen.digest, (0,))
        assert list(load(kept, PROTECTED)["who"]) == [BOB, "A-carol", "A-dan"]
        pd.testing.assert_frame_equal(load(kept), load(frozen_again(frozen)).iloc[1:].reset_index(drop=True))

    def test_nothing_of_the_row_is_left_on_disk(self, tmp_path, ledger, frozen):
        assert ALICE.encode() in texts_on_disk(tmp_path)

        erased(ledger, frozen, 0)

        left = texts_on_disk(tmp_path)
        assert ALICE.encode() not in left
        assert b"only alice wrote this" not in left
        assert BOB.encode() in left

    def test_the_ledger_names_rows_leaves_and_files_and_nobody(self, ledger, frozen):
        leaves = {part: snapshots.stored_rows(frozen, part).leaves[1].hex() for part in frozen.parts}

        kept = erased(ledger, frozen, 1)

        assert {one.data["part"]: one.data["leaves"] for one in ledger.find(KIND, "loan")} == {
            part: [leaf] for part, leaf in leaves.items()
        }
        for entry in ledger.find(KIND, "loan"):
            assert entry.data["rows"] == [1]
            assert entry.data["files"] == [one.__dict__ for one in kept.erased[entry.data["part"]].files]
            assert BOB not in json.dumps(entry.data)

    def test_one_after_the_other_until_nobody_is_left(self, tmp_path, ledger, frozen):
        for position in (2, 0, 3, 1):
            kept = erased(ledger, frozen, position)
            verify(kept)

        assert len(load(kept)) == 0
        assert list(load(kept, PROTECTED).dtypes) == [object, object]
        assert len(parquet(frozen)) == 2

    def test_again_nothing_changes(self, ledger, frozen):
        first = erased(ledger, frozen, 0, 1)
        entries = dict(ledger.entries)

        assert erased(ledger, frozen, 1, 0) == first
        assert ledger.entries == entries

    def test_the_same_content_is_frozen_anew_and_the_tag_of_the_old_is_worthless(self, tmp_path, ledger, frozen):
        kept = erased(ledger, frozen, 0)

        again = frozen_in(tmp_path)

        assert again.digest != frozen.digest
        assert len(load(again)) == 4
        verify(kept)

    def test_a_part_that_two_snapshots_share_is_missing_in_both(self, tmp_path, ledger, frozen):
        """The same features with a corrected sex: one file of features, two of what is protected."""
        corrected = frozen_in(tmp_path, applicants().assign(sex=["f", "m", "f", "m"]))
        assert corrected.parts[DATA] == frozen.parts[DATA]

        erased(ledger, frozen, 0)

        half = as_kept(ledger, "loan", corrected.to_dict())
        assert list(load(half, PROTECTED)["who"]) == [BOB, "A-carol", "A-dan"]
        assert len(load(half)) == 3
        assert ALICE in erasures.column(half, "who")[1]  # still to be erased, and still found
        whole = erased(ledger, corrected, 0)
        assert ALICE not in erasures.column(whole, "who")[1]
        verify(whole)

    def test_rows_of_a_snapshot_without_a_subject_cannot_go_alone(self, tmp_path, ledger):
        plain = freeze(applicants(), model="loan", root=str(tmp_path))

        with pytest.raises(InputError, match=r"was frozen before model.yaml named a `subject`"):
            erased(ledger, plain, 0)

    def test_there_is_no_row_beyond_the_last(self, ledger, frozen):
        with pytest.raises(InputError, match="Expected rows from 0 to 3, found 4"):
            erased(ledger, frozen, 4)

    def test_letting_go_takes_what_stands_in_for_erased_rows_too(self, ledger, frozen):
        kept = erased(ledger, frozen, 0)

        assert snapshots.let_go(kept, lambda path: True) == 0
        assert snapshots.let_go(kept, lambda path: False) == 2
        assert parquet(frozen) == []


def frozen_again(frozen):
    """The same rows in another place, for their values."""
    return frozen_in(Path(frozen.parts[DATA].uri).parents[2] / "again")


class TestAtTheSameTime:
    def test_many_erase_from_one_snapshot_and_every_row_goes(self, tmp_path, ledger):
        frame = pd.DataFrame({"who": [f"A-{number:02}" for number in range(12)], "x": range(12)})
        frozen = freeze(frame, model="loan", root=str(tmp_path), subject="who")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda position: erased(ledger, frozen, position), range(0, 12, 2)))

        kept = as_kept(ledger, "loan", frozen.to_dict())
        verify(kept)
        assert list(load(kept)["x"]) == [1, 3, 5, 7, 9, 11]
        assert len(parquet(frozen)) == 1

    def test_a_snapshot_that_is_found_again_meanwhile_lacks_the_row_too(self, tmp_path, ledger, frozen):
        found = frozen_in(tmp_path)
        erased(ledger, frozen, 0)

        assert as_kept(ledger, "loan", found.to_dict()).missing == (0,)

    def test_who_read_while_a_row_was_erased_reads_again(self, ledger, frozen):
        reads = []

        def read(now):
            reads.append(now.missing)
            if len(reads) == 1:
                erased(ledger, frozen, 2)
            return len(load(now))

        assert erasures.as_it_is(ledger, "loan", frozen.to_dict(), read) == 3
        assert reads == [(), (2,)]


class TestKilled:
    @pytest.mark.parametrize("step", range(1, 9))
    def test_anywhere_it_is_run_again_and_ends_in_the_same_state(self, tmp_path, ledger, frozen, monkeypatch, step):
        """After a file was written, before and after an entry, between two files that go: eight places."""
        stop = _Stop(step)
        stop.at(monkeypatch, erasures, "_write", after=True)
        stop.at(monkeypatch, delta, "delete", after=True)
        stop.at(monkeypatch, Memory, "append", before=True, after=True)
        with pytest.raises(_Killed):
            erased(ledger, frozen, 0)
        between = as_kept(ledger, "loan", frozen.to_dict())
        assert len(load(between)) == (3 if between.missing else 4)
        if snapshots.leftovers(between):
            with pytest.raises(UnavailableError, match=r"is as it was recorded, but .* `governance subject finish`"):
                verify(between)
        else:
            verify(between)

        kept = erased(ledger, frozen, 0)

        verify(kept)
        assert kept.missing == (0,)
        assert len(ledger.entries) == 2
        assert len(parquet(frozen)) == 2
        assert ALICE.encode() not in texts_on_disk(tmp_path)


class _Killed(BaseException):
    """No code of ours catches it, as none would go on after a kill."""


@dataclass
class _Stop:
    """Ends everything at the n-th of some places."""

    step: int
    passed: int = 0

    def at(self, monkeypatch, owner, name, *, before=False, after=False):
        do = getattr(owner, name)

        def stopped(*given, **named):
            self._pass(before)
            done = do(*given, **named)
            self._pass(after)
            return done

        monkeypatch.setattr(owner, name, stopped)

    def _pass(self, counts):
        self.passed += counts
        if counts and self.passed == self.step:
            raise _Killed


class TestAttacks:
    """Whoever owns the folder, or even writes entries as the pipeline, changes nothing of what is left unseen."""

    def test_a_value_that_is_changed_in_the_file_is_found(self, ledger, frozen):
        kept = erased(ledger, frozen, 0)
        path = Path(kept.parts[DATA].uri, kept.erased[DATA].files[0].path)
        path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2", 1))

        with pytest.raises(TamperedError, match="expected SHA-256"):
            verify(kept)

    def test_a_row_that_is_gone_without_an_entry_is_found(self, ledger, frozen):
        other = erased(ledger, frozen, 0)
        Path(frozen.parts[DATA].uri, other.erased[DATA].files[0].path).unlink()

        with pytest.raises(TamperedError, match="expected a file, found none"):
            verify(other)

    @pytest.mark.parametrize(
        ("forge", "message"),
        [
            (lambda frame: frame.assign(price=[7.0, 2.0, 3.25]), "expected rows with digest"),
            (lambda frame: frame.iloc[[1, 0, 2]], "expected rows with digest"),
            (lambda frame: frame.iloc[:2], "expected 4 rows without the 1 that the ledger says were erased, found 2"),
            (lambda frame: frame.drop(columns="note"), "expected rows with digest"),
            (lambda frame: frame.assign(more=1), "not the columns of the record"),
            (lambda frame: frame.assign(price=["1", "2", "3"]), "not the columns of the record"),
        ],
        ids=["another value", "swapped rows", "one row less", "a column less", "a column more", "another type"],
    )
    def test_a_forged_entry_that_names_other_rows_is_found(self, ledger, frozen, forge, message):
        """The files fit the entry, and the entry is in the ledger: only the root tells."""
        kept = erased(ledger, frozen, 0)
        stored = snapshots.stored_rows(kept, DATA)
        frame = forge(stored.frame)
        salts = [
            stored.salts[at] for at in (frame.index if len(frame) < 3 or list(frame.index) != [0, 1, 2] else range(3))
        ]
        body = erasures._without(kept, replace(stored, frame=frame.reset_index(drop=True), salts=salts,
                                               positions=list(range(len(frame)))), [])  # fmt: skip
        file = erasures._write(kept, DATA, body)
        forged = replace(kept.erased[DATA], files=(file,))

        with pytest.raises(TamperedError, match=message):
            load(replace(kept, erased={**kept.erased, DATA: forged}))

    def test_a_row_that_the_ledger_does_not_name_cannot_be_claimed_to_be_erased(self, ledger, frozen):
        """A file without rows 0 and 1, where the ledger knows of row 0 alone."""
        kept = erased(ledger, frozen, 0)
        body = erasures._without(kept, snapshots.stored_rows(kept, DATA), [1])
        forged = replace(kept.erased[DATA], files=(erasures._write(kept, DATA, body),))

        with pytest.raises(TamperedError, match="without the 1 that the ledger says were erased, found 2"):
            load(replace(kept, erased={**kept.erased, DATA: forged}))

    def test_a_leaf_that_is_not_the_rows_own_is_found(self, ledger, frozen):
        kept = erased(ledger, frozen, 0)
        forged = replace(kept.erased[DATA], leaves={0: "00" * 32})

        with pytest.raises(TamperedError, match="expected rows with digest"):
            load(replace(kept, erased={**kept.erased, DATA: forged}))

    def test_an_entry_that_erases_a_row_again_is_found(self, ledger, frozen):
        erased(ledger, frozen, 0)
        first = next(one for one in ledger.find(KIND, "loan") if one.data["part"] == DATA)
        ledger.append(KIND, "loan", dict(first.data), actor="p-1", key=first.key[:-1] + "1")

        with pytest.raises(TamperedError, match="not erased before, found 0 again"):
            as_kept(ledger, "loan", frozen.to_dict())

    def test_another_subject_in_the_record_is_found(self, frozen):
        with pytest.raises(TamperedError, match="contradicts itself"):
            load(replace(frozen, subject="note"))


def test_other_delta_readers_see_the_rows_that_were_frozen_and_their_salts(frozen):
    table = DeltaTable(frozen.parts[DATA].uri, version=0).to_pyarrow_table()

    assert sorted(table.column_names) == ["__salt", "note", "price"]
    assert {len(salt) for salt in table["__salt"].to_pylist()} == {16}


def test_the_protected_part_is_closed_to_others_also_after_an_erasure(ledger, frozen):
    kept = erased(ledger, frozen, 0)

    path = Path(kept.parts[PROTECTED].uri, kept.erased[PROTECTED].files[0].path)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
