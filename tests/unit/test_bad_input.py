"""Bad input as a table: each kind, and the test that holds its message. A test here fails when one of them is gone.

Every row names a file below ``tests/`` and a word that a test in it carries: the name of the test, or its case in a
table of its own.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
BAD_DATA, FITS = "unit/data/test_bad_data.py", "unit/training/test_sandbox.py"
OUTAGES, FULL = "integration/outages/test_outages.py", "integration/outages/test_disk_full.py"
REQUESTS = "unit/release/test_inputs.py"

TABLE = {
    "a missing data file": (BAD_DATA, '"the file is missing"'),
    "an empty data file": (BAD_DATA, '"the file is empty"'),
    "a wrong encoding": (BAD_DATA, '"the encoding is Latin-1"'),
    "a column missing": (BAD_DATA, '"a column is missing"'),
    "a column renamed": (BAD_DATA, '"a column was renamed"'),
    "a column of another type": (BAD_DATA, '"a column is of another type"'),
    "a column all null": (BAD_DATA, '"a column has no value"'),
    "a target with one class": (BAD_DATA, '"the target has one class"'),
    "a protected attribute with one group": (BAD_DATA, '"a protected attribute has one group"'),
    "duplicate rows above the contract's limit": (BAD_DATA, '"rows occur twice"'),
    "infinite values": (BAD_DATA, '"values are infinite"'),
    "a million columns": (BAD_DATA, '"there are a million columns"'),
    "a cell of 4 GB": (BAD_DATA, '"a cell has 4 GB"'),
    "YAML that does not parse": ("unit/check/test_check.py", '"not YAML"'),
    "a policy looser than its tier": ("unit/test_policy.py", "is looser"),
    "a rule over an unknown measure": ("unit/check/test_check.py", "Unknown measure"),
    "a fit that raises": (FITS, '"raises"'),
    "a fit that hangs": (FITS, "test_a_fit_that_hangs_is_ended_at_its_limit"),
    "a fit that eats memory": (FITS, '"needs memory"'),
    "a fit that returns the wrong thing": (FITS, '"returns a frame"'),
    "a fit that writes for ever": (FITS, '"writes a lot"'),
    "a fit that forks": (FITS, '"starts many processes"'),
    "a fit that calls sys.exit": (FITS, '"sys.exit"'),
    "MLflow down before": (OUTAGES, "class TestMlflow"),
    "MLflow down during": (OUTAGES, "test_cut_anywhere_the_next_attempt_completes_one_version"),
    "MLflow down after": (OUTAGES, "test_down_after_the_release_the_scoring_service_goes_on_serving"),
    "PostgreSQL down before": (OUTAGES, "test_down_before_it_is_said_and_nothing_is_written"),
    "PostgreSQL down during": (OUTAGES, "test_cut_anywhere_an_entry_is_written_once"),
    "PostgreSQL down after": (OUTAGES, "test_down_after_what_was_written_is_there_when_it_is_back"),
    "the scoring service down before": (OUTAGES, "test_down_before_nothing_is_released"),
    "the scoring service down during": (OUTAGES, "test_cut_anywhere_in_a_release"),
    "the scoring service down after": ("integration/serving/test_release.py", "does_not_answer_leaves_no_champion"),
    "a full disk": (FULL, "test_it_is_said_in_one_sentence_that_nothing_was_recorded"),
    "a type that is not allowed in a model's file": ("unit/training/test_artifacts.py", "RefusedError"),
    "a model in a pickle": ("unit/training/test_formats.py", "test_a_pickle_is_refused_with_what_to_do_instead"),
    "a request with missing and extra fields": (REQUESTS, "test_every_fault_is_told_at_once"),
    "a request out of contract or of another type": (
        REQUESTS,
        "test_a_value_out_of_contract_is_told_with_what_was_expected",
    ),
    "a request that is none": ("integration/serving/test_scoring_service.py", "test_what_is_no_request_is_refused"),
}


@pytest.mark.parametrize("kind", TABLE)
def test_every_kind_of_bad_input_has_its_test(kind: str) -> None:
    file, word = TABLE[kind]
    assert word in (TESTS / file).read_text(), f"{kind}: {file} has no {word}"
