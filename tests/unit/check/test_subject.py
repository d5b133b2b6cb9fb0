"""``data.subject``: the column that says whom a row is about, held against the spec and the data."""

import pandas as pd
import pytest
from one_model import Checkout

from governance.catalog import load_spec
from governance.check import columns, examine

PURPOSES = "purposes: [credit decisioning]"


def told(checkout: Checkout) -> list[str]:
    """Return the faults of ``model.yaml`` without a look at the data: line, what was found, remedy."""
    found = examine(checkout.settings, "loan", data=False).faults
    return [f"{fault.line}: {fault.found} {fault.remedy}" for fault in found if fault.file.name == "model.yaml"]


def about(checkout: Checkout, column: str, more: str = "") -> Checkout:
    return checkout.change("model", PURPOSES, f"{PURPOSES}\n  subject: {column}{more}")


def spec_about(checkout: Checkout):
    about(checkout, "application")
    return load_spec(checkout.path("model").parent)


def test_a_column_of_its_own_is_right_and_kept_apart(checkout):
    assert told(about(checkout, "application")) == []
    spec = load_spec(checkout.path("model").parent)
    assert "application" in spec.apart_columns
    assert set(spec.protected_columns) < set(spec.apart_columns)


def test_a_feature_says_about_nobody_who_they_are(checkout):
    (said,) = told(about(checkout, "self"))

    line = checkout.line_of("model", "  self: Self-employed")
    assert said == f"{line}: Feature `self` says whom a row is about. Remove this line: a model learns names by heart."


@pytest.mark.parametrize("column", ["approve", "male"])
def test_the_target_and_protected_columns_are_no_subject(checkout, column):
    (said,) = told(about(checkout, column))

    assert said.startswith(f"{checkout.line_of('model', 'subject:')}: The subject `{column}` is the target, a leak, or")
    assert "Name the column that identifies the person, such as `application_id`." in said


def test_what_would_be_masked_finds_nobody(checkout):
    (said,) = told(about(checkout, "mail", "\n  personal: {mail: email}"))

    assert said.startswith(f"{checkout.line_of('model', 'personal:')}: The subject `mail` would be masked")
    assert "Remove this line: the subject is kept apart" in said


def test_rows_about_no_persons_have_no_subject(checkout):
    text = checkout.path("model").read_text()
    begin = text.index("protected:")
    checkout.path("model").write_text(text[:begin] + "no_persons: Rows are bottles of wine.\n" + text[begin:])

    said = told(about(checkout, "bottle"))

    assert any("`no_persons` that the rows are about no persons. Remove one of the lines." in one for one in said)


def frame_of(spec, **values):
    """Rows with every column that the spec names, and no fault but those of ``values``."""
    from governance.data.sources import read_source

    frame = read_source(spec.data.source, spec.folder)
    return frame.assign(application=[f"A-{row}" for row in range(len(frame))], **values)


@pytest.fixture
def spec(checkout):
    return spec_about(checkout)


def test_the_data_must_have_the_column(spec):
    faults, _ = columns.against(spec, frame_of(spec).drop(columns="application"))

    assert [one.found for one in faults] == ["The data have no column `application`, which is a subject here."]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (lambda n: [None, *(f"A-{row}" for row in range(n - 1))], "is missing in 1 of 1,989 rows: nobody could find"),
        (lambda n: [row + 0.5 for row in range(n)], "holds neither text nor whole numbers"),
        (lambda n: pd.date_range("2020", periods=n, tz="UTC"), "holds neither text nor whole numbers"),
        (lambda n: [row % 2 == 0 for row in range(n)], "holds neither text nor whole numbers"),
    ],
    ids=["missing", "fractions", "times", "yes or no"],
)
def test_every_row_is_about_somebody_who_can_be_named(spec, values, found):
    frame = frame_of(spec)

    faults, _ = columns.against(spec, frame.assign(application=values(len(frame))))

    assert len(faults) == 1
    assert found in faults[0].found
    assert faults[0].line == spec.document.fault(("data", "subject"), "", "").line


@pytest.mark.parametrize("values", [lambda n: range(n), lambda n: [f"A-{row // 2}" for row in range(n)]])
def test_numbers_and_several_rows_of_one_person_are_right(spec, values):
    frame = frame_of(spec)

    assert columns.against(spec, frame.assign(application=list(values(len(frame)))))[0] == []


def test_addresses_are_no_subject_without_a_reason(spec):
    frame = frame_of(spec)
    mails = [f"a{row}@bank.example" for row in range(len(frame))]

    (fault,) = columns.against(spec, frame.assign(application=mails))[0]

    assert "Column `application` looks like personal data: e-mail addresses" in fault.found
