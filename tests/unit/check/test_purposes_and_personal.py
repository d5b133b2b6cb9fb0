"""What the data may be used for, and which columns name people: what ``model.yaml`` says, held against itself."""

import pandas as pd
import pytest
from one_model import Checkout

from governance.check import columns, examine
from governance.check.data import usable
from governance.errors import RefusedError
from governance.yamlfile import FaultyFileError

PURPOSES = "purposes: [credit decisioning]"


def told(checkout: Checkout, **how) -> list[str]:
    """Return the faults of ``model.yaml``: line, what was found, remedy."""
    found = examine(checkout.settings, "loan", **how).faults
    return [f"{fault.line}: {fault.found} {fault.remedy}" for fault in found if fault.file.name == "model.yaml"]


def declared(checkout: Checkout, text: str) -> Checkout:
    return checkout.change("model", PURPOSES, f"{PURPOSES}\n  {text}")


def test_the_loan_model_uses_its_data_for_a_purpose_of_theirs(checkout):
    assert told(checkout) == []
    assert told(checkout.change("model", "use: credit decisioning ", "use: Credit Decisioning ")) == []


def test_a_use_that_is_no_purpose_of_the_data_is_told_at_its_line(checkout):
    (said,) = told(checkout.change("model", "use: credit decisioning ", "use: marketing "))

    line = checkout.line_of("model", "use: marketing")
    assert said.startswith(f"{line}: The model uses the data for `marketing`, which is none of their purposes.")
    assert "Write one of `data.purposes` (credit decisioning), or take other data." in said


def test_a_use_that_is_nearly_right_is_recognised(checkout):
    (said,) = told(checkout.change("model", "use: credit decisioning ", "use: credit decisoning "))

    assert said.endswith("Did you mean `credit decisioning`?")


def test_a_model_that_does_not_say_its_use_is_told_at_the_purposes(checkout):
    (said,) = told(checkout.change("model", "use: credit decisioning ", "#"))

    assert said.startswith(f"{checkout.line_of('model', PURPOSES)}: `use` is missing")


def test_a_personal_column_is_no_feature(checkout):
    (said,) = told(declared(checkout, "personal: {self: social_security}"))

    line = checkout.line_of("model", "  self: Self-employed")
    assert said == (
        f"{line}: Feature `self` is personal data (social security). "
        f"Remove this line: personal data never reach a model."
    )


@pytest.mark.parametrize("column", ["approve", "male"])
def test_what_is_needed_whole_cannot_be_masked(checkout, column):
    (said,) = told(declared(checkout, f"personal: {{{column}: other}}"))

    assert f"`{column}` is the target or protected, and would be masked" in said


def test_a_column_is_personal_or_it_is_not(checkout):
    (said,) = told(declared(checkout, "personal: {mail: email}\n  not_personal: {mail: It holds the names of shops.}"))

    assert said.startswith(f"{checkout.line_of('model', 'not_personal:')}: `mail` is said to be personal data, and")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("personal: {mail: e-mail}", "`data.personal.mail` is 'e-mail'. Did you mean `email`?"),
        ("personal: {mail: secret}", "Expected 'name', 'email', 'phone', 'card'"),
        ("not_personal: {mail: no}", "`data.not_personal.mail`"),
    ],
)
def test_what_cannot_be_read_is_told(checkout, text, message):
    (said,) = told(declared(checkout, text))

    assert message in said


@pytest.fixture
def spec(checkout):
    from governance.catalog import find_spec

    return lambda: find_spec(checkout.settings, "loan")


@pytest.fixture
def loan(checkout, spec) -> pd.DataFrame:
    from governance.data.sources import read_source

    return read_source(spec().data.source, spec().folder).assign(mail="ann@bank.example")


def test_a_column_that_looks_personal_is_told_unless_it_is_declared_or_explained(checkout, spec, loan):
    faults, _ = columns.against(spec(), loan)
    assert [fault.found for fault in faults] == [
        "Column `mail` looks like personal data: e-mail addresses in 1,989 of 1,989 values."
    ]

    declared(checkout, "personal: {mail: email}")
    assert columns.against(spec(), loan)[0] == []
    assert "mail" not in columns.against(spec(), loan)[1][0].found if columns.against(spec(), loan)[1] else True

    checkout.change("model", "personal: {mail: email}", "not_personal: {mail: One address of the office.}")
    assert columns.against(spec(), loan)[0] == []


def test_a_policy_that_refuses_personal_data_is_told_with_the_data(checkout, spec, loan):
    declared(checkout, "personal: {mail: email}")

    assert columns.against(spec(), loan, "mask")[0] == []
    (fault,) = columns.against(spec(), loan, "refuse")[0]
    assert "The data have the personal column `mail`" in fault.found
    assert fault.line == checkout.line_of("model", "personal:")


def test_accepted_data_are_masked_and_others_are_not_accepted(checkout, spec, loan):
    declared(checkout, "personal: {mail: email}")

    assert set(columns.accepted(spec(), loan, "mask")["mail"]) == {"●●●"}
    assert set(usable(spec(), loan, "mask")["mail"]) == {"●●●"}
    with pytest.raises(FaultyFileError, match="personal column `mail`"):
        columns.accepted(spec(), loan, "refuse")
    with pytest.raises(RefusedError, match="found the columns mail"):
        usable(spec(), loan, "refuse")


@pytest.mark.parametrize("how", ["mask", "refuse"])
def test_data_for_another_purpose_are_not_usable(checkout, spec, loan, how):
    checkout.change("model", PURPOSES, "purposes: [marketing]")

    with pytest.raises(RefusedError, match="may be used for `marketing`, and the model uses them for `credit"):
        usable(spec(), loan.drop(columns="mail"), how)


def test_an_identifier_among_the_features_is_told_unless_it_is_explained(checkout, spec, loan):
    checkout.change("model", "  occ: Occupancy", "  occ: Occupancy\n  case_id: Number of the file")
    rows = loan.drop(columns="mail").assign(case_id=range(len(loan)))

    (fault,) = columns.against(spec(), rows)[0]
    assert fault.found.startswith("Feature `case_id` looks like an identifier of rows")
    assert fault.line == checkout.line_of("model", "case_id:")

    declared(checkout, "not_personal: {case_id: It counts earlier applications.}")
    assert columns.against(spec(), rows)[0] == []
