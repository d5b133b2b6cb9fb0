"""Who may send labels: one line each, a token that nobody guesses, and the models it is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.errors import InputError
from governance.predictions.senders import find_sender, own_token, read_senders

BANK, PAY = "b" * 20, "p" * 32


@pytest.fixture
def file(tmp_path):
    """Write lines, and return the file."""

    def write(*lines):
        path = tmp_path / "label.tokens"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_sender_has_a_name_a_token_and_its_models(file):
    bank, pay = read_senders(file("# who sends what", "", f"bank  {BANK}  loan wage", f"pay\t{PAY}"))

    assert (bank.name, bank.token, bank.models) == ("bank", BANK, {"loan", "wage"})
    assert [bank.may_send(model) for model in ("loan", "wage", "digits")] == [True, True, False]
    assert pay.may_send("digits")


def test_a_token_finds_its_sender_and_no_other(file):
    senders = read_senders(file(f"bank {BANK}", f"pay {PAY}"))

    assert [find_sender(senders, token) for token in (BANK, PAY)] == list(senders)
    assert find_sender((), BANK) is None


@given(st.text())
def test_what_is_no_token_finds_nobody(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("senders") / "label.tokens"
    path.write_text(f"bank {BANK}\n")

    found = find_sender(read_senders(path), text)

    assert (found is not None) == (text == BANK)


def test_a_sender_is_never_shown_with_its_token(file):
    assert BANK not in repr(read_senders(file(f"bank {BANK}")))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([f"bank {BANK}", "pay"], "line 2"),
        (["a/b " + BANK], "1 to 64 letters"),
        (["bank short"], "at least 20 letters for bank, found 5"),
        ([f"bank {BANK}", f"bank {PAY}"], "each name once"),
        ([f"bank {BANK}", f"pay {BANK}"], "each token once"),
    ],
    ids=["no token", "no name", "short", "one name twice", "one token twice"],
)
def test_a_file_that_cannot_be_meant_opens_nothing_and_tells_no_token(file, lines, said):
    with pytest.raises(InputError, match=said) as error:
        read_senders(file(*lines))
    assert BANK not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"GOVERNANCE_LABEL_TOKENS.*FileNotFoundError.*nowhere"):
        read_senders(tmp_path / "nowhere")


def test_one_who_sends_has_one_line(file):
    assert own_token(file(f"bank {BANK}")) == BANK
    with pytest.raises(InputError, match="Expected one sender"):
        own_token(file(f"bank {BANK}", f"pay {PAY}"))
    with pytest.raises(InputError, match="Expected one sender"):
        own_token(file("# nobody"))
