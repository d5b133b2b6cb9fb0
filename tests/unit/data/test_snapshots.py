"""Immutable, content-addressed copies: found again, told apart, and defended byte by byte."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from frames import frames, quick
from hypothesis import given

from governance.canonical import digest_of_bytes
from governance.data import delta, snapshots
from governance.data.columns import content_digest, normalise
from governance.data.snapshots import Snapshot, freeze, let_go, load, verify
from governance.errors import InputError, TamperedError, UnavailableError

INCLUDE = Path(snapshots.__file__).parents[2]


def applicants(price=100.0):
    return pd.DataFrame({"black": [1, 0, 0], "price": [price, 2.5, np.nan], "city": ["Boston", None, "Lynn"]})


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "snapshots")


@pytest.fixture
def frozen(root):
    """The second version of a table, so that its log has a past."""
    freeze(applicants(price=1.0), model="loan", root=root, protected_columns=["black"])
    return freeze(applicants(), model="loan", root=root, protected_columns=["black"])


def files_of(snapshot):
    return [(name, file.path) for name, part in snapshot.parts.items() for file in part.files]


def path_of(snapshot, name, file):
    return Path(snapshot.parts[name].uri) / file


def parquet_files(root):
    return sorted(Path(root).rglob("*.parquet"))


def test_what_is_loaded_is_what_was_frozen(loan, loan_protected, root):
    frozen = freeze(loan, model="loan", root=root, protected_columns=loan_protected)

    both = load(frozen, "data").join(load(frozen, "protected"))

    pd.testing.assert_frame_equal(both[list(loan)], loan)
    assert frozen.rows == 1989
    assert len(frozen.columns) == 59
    verify(frozen)


def test_protected_columns_are_in_their_own_part_and_nowhere_else(frozen):
    assert list(load(frozen, "data")) == ["city", "price"]
    assert list(load(frozen, "protected")) == ["black"]


@quick
@given(frames())
def test_the_digest_survives_the_way_through_delta_lake(tmp_path_factory, frame):
    root = tmp_path_factory.mktemp("snapshots")

    frozen = freeze(frame, model="any", root=str(root))

    assert frozen.parts["data"].digest == content_digest(frame)
    pd.testing.assert_frame_equal(load(frozen)[list(frame)], normalise(frame))


def test_the_same_content_again_is_the_same_snapshot_without_a_second_copy(root, frozen):
    files = parquet_files(root)

    again = freeze(applicants()[["city", "price", "black"]], model="loan", root=root, protected_columns=["black"])

    assert again == frozen
    assert parquet_files(root) == files


def test_older_content_is_found_among_older_versions(root):
    first = freeze(applicants(1.0), model="loan", root=root)
    second = freeze(applicants(2.0), model="loan", root=root)

    assert freeze(applicants(1.0), model="loan", root=root) == first
    assert [first.parts["data"].version, second.parts["data"].version] == [0, 1]
    verify(first)
    verify(second)


def test_where_a_snapshot_lies_and_in_which_files_is_no_part_of_its_digest(tmp_path, frozen):
    elsewhere = freeze(applicants(), model="other", root=str(tmp_path / "b"), protected_columns=["black"])

    assert elsewhere.digest == frozen.digest
    assert elsewhere.parts["data"].files != frozen.parts["data"].files


def test_which_columns_are_protected_is_part_of_the_digest(root, frozen):
    assert freeze(applicants(), model="open", root=root).digest != frozen.digest


def test_only_a_changed_part_gets_a_new_version(frozen):
    assert {name: part.version for name, part in frozen.parts.items()} == {"data": 1, "protected": 0}


def test_the_record_survives_json(frozen):
    assert Snapshot.from_dict(json.loads(json.dumps(frozen.to_dict()))) == frozen


def test_other_delta_readers_see_the_same_rows(frozen):
    part = frozen.parts["data"]

    rows = DeltaTable(part.uri, version=part.version).to_pyarrow_table().to_pandas()

    assert content_digest(rows) == part.digest


def test_the_protected_part_is_closed_to_others(root, frozen):
    folder = Path(root) / "loan" / "protected"

    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()} == {"0o600"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"protected_columns": ["white"]}, "Expected protected column 'white'"),
        ({"frame": applicants().head(0)}, "found 0 rows"),
        ({"frame": pd.DataFrame(index=[1, 2])}, "0 columns"),
        ({"model": "../loan"}, "name of a model"),
        ({"model": ""}, "name of a model"),
    ],
    ids=["no such column", "no rows", "no columns", "a path", "no name"],
)
def test_what_cannot_be_frozen_leaves_nothing_behind(root, given, message):
    with pytest.raises(InputError, match=message):
        freeze(**{"frame": applicants(), "model": "loan", "root": root, **given})

    assert not Path(root).exists()


def test_a_root_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UnavailableError, match="Nothing was recorded"):
        freeze(applicants(), model="loan", root=str(tmp_path / "file"))


def test_there_are_two_parts_and_no_other(frozen):
    with pytest.raises(InputError, match="data, protected"):
        load(frozen, "labels")


# --- tampering -----------------------------------------------------------------------------------------------------


def test_a_flipped_byte_anywhere_in_any_file_is_found_and_named(frozen):
    for name, file in files_of(frozen):
        path = path_of(frozen, name, file)
        good = path.read_bytes()
        for place in np.linspace(0, len(good) - 1, 15, dtype=int):
            bad = bytearray(good)
            bad[place] ^= 1
            path.write_bytes(bad)

            with pytest.raises(TamperedError) as refused:
                load(frozen, name)

            for told in (file, digest_of_bytes(good), digest_of_bytes(bytes(bad))):
                assert told in str(refused.value)
        path.write_bytes(good)
    verify(frozen)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["deleted", "emptied"])
def test_a_lost_file_is_found_and_named(frozen, harm):
    for name, file in files_of(frozen):
        path = path_of(frozen, name, file)
        good = path.read_bytes()
        harm(path)

        with pytest.raises(TamperedError, match=Path(file).name):
            verify(frozen)

        path.write_bytes(good)


def test_a_lost_folder_is_found(root, frozen):
    shutil.rmtree(root)

    with pytest.raises(TamperedError, match="found none"):
        verify(frozen)


def test_other_content_is_found_even_if_the_record_of_its_file_was_changed_to_fit(root, frozen):
    other = freeze(applicants(price=7.0), model="loan", root=root, protected_columns=["black"])
    forged_part = replace(frozen.parts["data"], files=other.parts["data"].files)
    forged = replace(frozen, parts={**frozen.parts, "data": forged_part})

    with pytest.raises(TamperedError, match=frozen.parts["data"].digest):
        verify(forged)


def test_a_record_whose_parts_were_exchanged_contradicts_itself(root, frozen):
    other = freeze(applicants(price=7.0), model="loan", root=root, protected_columns=["black"])

    with pytest.raises(TamperedError, match="contradicts itself"):
        verify(replace(frozen, parts=other.parts))
    with pytest.raises(TamperedError, match="contradicts itself"):
        verify(replace(frozen, rows=4))


def test_what_is_parsed_is_what_was_checked_even_while_files_change(frozen):
    name, file = files_of(frozen)[0]
    path = path_of(frozen, name, file)
    good, bad = path.read_bytes(), bytearray(path.read_bytes())
    bad[len(bad) // 2] ^= 1
    done = threading.Event()

    def swap():
        while not done.is_set():
            for body in (bytes(bad), good):
                path.with_suffix(".new").write_bytes(body)
                path.with_suffix(".new").rename(path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    outcomes = set()
    try:
        for _ in range(150):
            try:
                outcomes.add(content_digest(load(frozen)))
            except TamperedError:
                outcomes.add("refused")
    finally:
        done.set()
        swapper.join()

    assert outcomes <= {frozen.parts["data"].digest, "refused"}


def test_a_damaged_copy_is_not_found_again_but_written_anew(root, frozen):
    name, file = files_of(frozen)[0]
    path_of(frozen, name, file).write_bytes(b"rot")

    again = freeze(applicants(), model="loan", root=root, protected_columns=["black"])

    assert again.digest == frozen.digest
    assert again.parts["data"].version > frozen.parts["data"].version
    verify(again)


def test_a_commit_that_claims_a_digest_it_does_not_hold_is_not_believed(root):
    real = freeze(applicants(), model="loan", root=root)
    other = freeze(applicants(price=7.0), model="liar", root=root)
    shutil.rmtree(Path(root) / "loan")
    shutil.copytree(Path(root) / "liar", Path(root) / "loan")
    commit = Path(root) / "loan" / "data" / "_delta_log" / f"{0:020d}.json"
    commit.write_text(commit.read_text().replace(other.parts["data"].digest, real.parts["data"].digest))

    again = freeze(applicants(), model="loan", root=root)

    assert again.digest == real.digest
    pd.testing.assert_frame_equal(load(again)[list(applicants())], applicants())


def test_a_log_that_cannot_be_read_stops_writers(root, frozen):
    path_of(frozen, "data", f"_delta_log/{1:020d}.json").write_text("{not json")

    with pytest.raises(TamperedError, match="Delta's log"):
        freeze(applicants(3.0), model="loan", root=root, protected_columns=["black"])


# --- writers side by side, and writers that die --------------------------------------------------------------------


def test_writers_of_the_same_content_at_once_make_one_version(root):
    together = threading.Barrier(6)

    def write(_):
        together.wait()
        return freeze(applicants(), model="loan", root=root, protected_columns=["black"])

    with ThreadPoolExecutor(6) as pool:
        frozen = list(pool.map(write, range(6)))

    assert len({snapshot.digest for snapshot in frozen}) == 1
    assert DeltaTable(frozen[0].parts["data"].uri).version() == 0
    assert all(snapshot == frozen[0] for snapshot in frozen)


def test_writers_of_different_content_at_once_all_get_their_own_version(root):
    together = threading.Barrier(6)

    def write(price):
        together.wait()
        return freeze(applicants(float(price)), model="loan", root=root, protected_columns=["black"])

    with ThreadPoolExecutor(6) as pool:
        frozen = list(pool.map(write, range(6)))

    assert sorted(snapshot.parts["data"].version for snapshot in frozen) == list(range(6))
    assert {snapshot.parts["protected"].version for snapshot in frozen} == {0}
    for price, snapshot in enumerate(frozen):
        assert load(snapshot)["price"][0] == price


WRITER = """
import sys
import pandas as pd
from governance.data.snapshots import freeze
for price in range(10_000):
    frame = pd.DataFrame({"black": [price % 2] * 2000, "price": [float(price + row) for row in range(2000)]})
    print(freeze(frame, model="loan", root=sys.argv[1], protected_columns=["black"]).digest, flush=True)
"""


def test_a_killed_writer_leaves_nothing_that_counts_as_a_snapshot(root):
    told = 0
    for milliseconds in (0, 7, 23):
        told = max(told, _write_and_kill(root, milliseconds))

    for part in ("data", "protected"):
        uri = str(Path(root) / "loan" / part)
        for commit in DeltaTable(uri).history():
            rows = DeltaTable(uri, version=commit["version"]).to_pyarrow_table().to_pandas()
            assert content_digest(rows) == commit[delta.DIGEST_KEY]
    versions = DeltaTable(str(Path(root) / "loan" / "data")).version() + 1
    assert told <= versions <= told + 1


def _write_and_kill(root, milliseconds):
    """Return how many snapshots the writer said it had, before it was killed a moment into the next one."""
    environment = {**os.environ, "PYTHONPATH": str(INCLUDE)}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, root], stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    told = [writer.stdout.readline() for _ in range(3)]
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(timeout=milliseconds / 1000)
    writer.send_signal(signal.SIGKILL)
    told += writer.stdout.readlines()
    writer.wait()
    return len(told)


def test_what_a_dead_writer_left_is_used_or_ignored(root):
    """Dead after the first part was committed, and with a file that no version names."""
    orphan = Path(root) / "loan" / "data" / "part-00000-dead.snappy.parquet"
    left = freeze(applicants().drop(columns="black"), model="loan", root=root)
    orphan.write_bytes(b"half a file")

    frozen = freeze(applicants(), model="loan", root=root, protected_columns=["black"])

    assert frozen.parts["data"] == left.parts["data"]
    assert orphan.name not in [file.path for file in frozen.parts["data"].files]
    verify(frozen)


class TestLettingGo:
    def test_the_rows_of_both_parts_go_and_deltas_log_stays(self, tmp_path):
        frozen = freeze(applicants(), model="loan.windows", root=str(tmp_path), protected_columns=["black"])
        files = {Path(part.uri, file.path) for part in frozen.parts.values() for file in part.files}

        assert let_go(frozen, lambda _: False) == 2
        assert {file.suffix for file in files if file.exists()} == {".json"}
        with pytest.raises(TamperedError, match="expected a file, found none"):
            load(frozen)

    def test_again_nothing_goes(self, tmp_path):
        frozen = freeze(applicants(), model="loan.windows", root=str(tmp_path))
        let_go(frozen, lambda _: False)

        assert let_go(frozen, lambda _: False) == 0

    def test_what_is_needed_elsewhere_stays(self, tmp_path):
        frozen = freeze(applicants(), model="loan.windows", root=str(tmp_path))

        assert let_go(frozen, lambda path: path.endswith(".parquet")) == 0
        assert len(load(frozen)) == len(applicants())

    def test_versions_before_and_after_it_verify_as_before(self, tmp_path):
        first, middle, last = (freeze(applicants(n), model="loan.windows", root=str(tmp_path)) for n in (1.0, 2.0, 3.0))

        let_go(middle, lambda _: False)

        for kept in (first, last):
            verify(kept)

    def test_the_same_content_is_written_anew(self, tmp_path):
        frozen = freeze(applicants(), model="loan.windows", root=str(tmp_path))
        let_go(frozen, lambda _: False)

        again = freeze(applicants(), model="loan.windows", root=str(tmp_path))

        assert again.digest == frozen.digest
        assert len(load(again)) == len(applicants())
