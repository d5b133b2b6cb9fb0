"""Personal data in a table: found, and kept out of snapshots and models.

``model.yaml`` declares which columns hold personal data (``data.personal``). What nobody declared is looked for, where
it can be told by its form: e-mail addresses, phone numbers, card numbers (with the issuer's beginning, its length and
a valid check digit), US social-security numbers, and identifiers of rows. Names of persons have no form: they must be
declared. A column that is taken for something it is not is named under ``data.not_personal``, with the reason.

Detection looks at up to 10,000 values of a column, evenly spread, and asks for a share of them, so that a few strings
which happen to look like one are no alarm: a tenth where the form is hard to meet by chance (an ``@`` and a domain,
dashes in a social-security number), half where it is easier, and more where digits alone must do.

Not guaranteed: that nothing personal is left. Free text that names people, a rare address in a long column, or a
combination of columns that identifies somebody is not found by looking at forms.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from governance.data.privacy import HIDDEN
from governance.errors import RefusedError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 10_000
LONGEST = 200
"""Characters of a text that are looked at."""

RARE, USUAL, EVERY = 0.1, 0.5, 0.999
"""Shares of a column's values that must match, by how easily something else has the form."""

SMALLEST = 1_000_000
"""No number below has the digits of a card, a person or a phone."""

DIGITS_ONLY = 300
"""How many social-security numbers without dashes are needed: seven of eight numbers of nine digits could be one."""

FEW, MANY = 50, 1_000
"""Rows from which different values in all of them say something: with an identifier's name, and without."""

WORDS = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "card numbers",
    "social_security": "social-security numbers",
}
"""What can be told by its form, as people call it."""

EMAIL = re.compile(r"[\w.+'-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b")
SOCIAL = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
CARD = re.compile(r"(?<!\d)(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}|\d{4}[ -]\d{6}[ -]\d{4,5})(?!\d)")
DIGITS = re.compile(r"\d{13,19}")
PHONE = re.compile(
    r"""(?:\+|00)\d{1,3}[\s.\-/]?(?:\(\d{1,4}\)|\d)[\d\s.\-/]{5,16}\d      # +49 171 234-5678
    |(?:\+?1[\s.\-]?)?\([2-9]\d{2}\)[\s.\-]?[2-9]\d{2}[\s.\-]?\d{4}         # (617) 555-0123
    |(?:1[\s.\-])?[2-9]\d{2}([\s.\-])[2-9]\d{2}\1\d{4}                      # 617-555-0123
    |0\d{2,4}[\s\-/]\d{3,4}[\s\-]?\d{3,5}                                   # 0171 234 5678
    """,
    re.VERBOSE,
)
_MAY_HOLD_ONE = re.compile(r"@|\d(?:[^\d]{0,3}\d){6}")
ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"6011|64[4-9]|65"), (16, 17, 18, 19)),  # Discover
    (re.compile(r"30[0-5]|3[689]"), (14, 16, 19)),  # Diners Club
    (re.compile(r"352[89]|35[3-8]"), (16, 17, 18, 19)),  # JCB
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
)
PHONE_WORDS = frozenset({"phone", "telephone", "tel", "mobile", "cell", "fax"})
SOCIAL_WORDS = frozenset({"ssn", "ssns", "tin", "itin"})
IDENTIFIER_WORDS = {"id", "ids", "uuid", "guid", "identifier", "key", "number", "no", "nr", "num", "ref", "reference"}
COUNTER_WORDS = {"rowid", "rownum", "index", "idx", "serial", "row"}
HASH = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32,64}", re.IGNORECASE)


@dataclass(frozen=True)
class Detected:
    """A column that looks like personal data.

    Attributes:
        column: Its name.
        kind: ``email``, ``phone``, ``card`` or ``social_security``.
        matching: How many of the values looked at have the form.
        of: How many values were looked at.
    """

    column: str
    kind: str
    matching: int
    of: int

    @property
    def sentence(self) -> str:
        """What was found, without a value: ``phone numbers in 198 of 200 values``."""
        return f"{WORDS[self.kind]} in {self.matching:,} of {self.of:,} values"


def detect(frame: "pd.DataFrame", excused: Sequence[str] = ()) -> list[Detected]:
    """Return the columns that look like personal data, in the order of the table.

    Args:
        frame: Rows with logical types (:mod:`governance.data.columns`).
        excused: Columns that are not looked at: declared already, or known to be none.
    """
    columns = (str(column) for column in frame.columns if column not in set(excused))
    return [found for column in columns if (found := _detect(column, frame[column])) is not None]


def identifier(name: str, values: "pd.Series[Any]") -> str | None:
    """Return why a column is taken for an identifier of rows, or None.

    A column is one where every value is different and something else speaks for it: its name, that it counts the
    rows, or that it is made of UUIDs or hashes. Amounts may be all different, too, and are none.
    """
    present = values.dropna()
    count = len(present)
    if count < FEW or not (_is_text(present) or _is_whole(present)) or not present.is_unique:
        return None
    words = _words(name)
    if words[-1:] and (words[-1] in IDENTIFIER_WORDS | COUNTER_WORDS or words[0] == "id"):
        return f"all of its {count:,} values differ, and it is named like one"
    if _is_text(present):
        hashes = sum(bool(HASH.fullmatch(text)) for text in _texts(_spread(present)))
        return f"all of its {count:,} values differ, and they are UUIDs or hashes" if hashes >= count * EVERY else None
    if count > MANY and int(present.max()) - int(present.min()) == count - 1:
        return f"it counts the {count:,} rows"
    return None


def treat(
    frame: "pd.DataFrame", declared: Mapping[str, str], detected: Sequence[Detected], how: str, *, named: bool = True
) -> "pd.DataFrame":
    """Return a table without personal data, or refuse.

    Args:
        frame: The data as read; it is not changed.
        declared: Column → kind, as ``data.personal`` says. Columns that the table does not have are fine.
        detected: What looks like personal data and is not declared.
        how: What the policy demands: ``mask`` replaces every value of a declared column by ``●●●``, so that the
            digest of the content does not depend on who is in it; ``refuse`` refuses tables with such columns.
        named: Whether an error may name columns; those of a source that nobody reviewed may not be told.

    Raises:
        RefusedError: Something personal is not declared, or the policy refuses what is declared.
    """
    if detected:
        found = ", ".join(f"`{one.column}` ({one.sentence})" if named else WORDS[one.kind] for one in detected)
        raise RefusedError(
            f"Expected no personal data but in columns under data.personal of model.yaml, found {found}. Remove them "
            f"from the source, declare them there, or say under data.not_personal why they are none."
        )
    present = [column for column in declared if column in frame.columns]
    if present and how != "mask":
        raise RefusedError(
            f"Expected no personal data, which the policy refuses, found the columns {', '.join(present)}. Remove them "
            f"from the source."
        )
    masked = frame.copy()
    for column in present:
        masked[column] = frame[column].notna().map({True: HIDDEN, False: None}).astype(object)
    return masked


def looks_personal(text: str) -> bool:
    """Say whether one text holds what has the form of an e-mail address, a phone, card or social-security number.

    For single values, of which no share can be taken: digits alone count as a card's number only, and a number inside
    other text only where it stands apart.
    """
    if _MAY_HOLD_ONE.search(text) is None:
        return False
    if EMAIL.search(text) or SOCIAL.search(text) or _has_card(text):
        return True
    whole = text.strip()
    if DIGITS.fullmatch(whole):
        return is_card(whole)
    return any(_is_phone(found.group()) and _stands_apart(text, *found.span()) for found in PHONE.finditer(text))


def _stands_apart(text: str, start: int, end: int) -> bool:
    return not (text[:start][-1:].isalnum() or text[end:][:1].isalnum())


def _detect(column: str, values: "pd.Series[Any]") -> Detected | None:
    present = _spread(values.dropna())
    if _is_text(present):
        forms, texts = _TEXT_FORMS, _texts(present)
    elif _is_whole(present) and len(present) and present.max() >= SMALLEST:
        forms, texts = _DIGIT_FORMS, [str(int(value)) for value in present]
    else:
        return None
    words = set(_words(column))
    for form in forms:
        if matching := form.matching(texts, named=bool(words & form.words)):
            return Detected(column, form.kind, matching, len(texts))
    return None


@dataclass(frozen=True)
class _Form:
    """How one kind of personal data is told.

    Attributes:
        kind: Which.
        test: Whether a text has the form.
        share: Share of the values that must have it.
        least: How many must, unless the column's name says what it is.
        words: Words of such a name.
        by_name_only: Whether the form says nothing without the name.
        differ: Whether values must differ, unless the name says what they are: a code that rows share is nobody's own.
    """

    kind: str
    test: Callable[[str], bool]
    share: float
    least: int
    words: frozenset[str] = frozenset()
    by_name_only: bool = False
    differ: bool = False

    def matching(self, texts: Sequence[str], *, named: bool) -> int:
        """Return how many of the texts have the form; 0 where these are too few to say so."""
        if not texts or (self.by_name_only and not named):
            return 0
        count = sum(map(self.test, texts))
        least = 1 if named else self.least
        if count < max(self.share * len(texts), min(least, len(texts)) if self.share < EVERY else least):
            return 0
        return 0 if self.differ and not named and len(set(texts)) < 0.95 * len(texts) else count


def _is_text(values: "pd.Series[Any]") -> bool:
    return bool(values.dtype == object)


def _is_whole(values: "pd.Series[Any]") -> bool:
    """Whole numbers beside missing ones are floats here."""
    return values.dtype.kind == "i" or (values.dtype.kind == "f" and bool((values % 1 == 0).all()))


def _spread(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return values.iloc[:: max(1, -(-len(values) // SAMPLE))]


def _texts(values: "pd.Series[Any]") -> list[str]:
    return [str(value).strip()[:LONGEST] for value in values]


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def is_card(digits: str) -> bool:
    """Say whether digits are a card's number: an issuer's beginning, its length, and Luhn's check digit."""
    if not any(issuer.match(digits) and len(digits) in lengths for issuer, lengths in ISSUERS):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)
    return total % 10 == 0


def is_social_security(digits: str) -> bool:
    """Say whether up to nine digits (leading zeros may be lost) are in the ranges of US social-security numbers."""
    whole = digits.zfill(9)
    area, group, serial = whole[:3], whole[3:5], whole[5:]
    return len(whole) == 9 and area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _has_card(text: str) -> bool:
    found = CARD.search(text)
    return found is not None and is_card(re.sub(r"\D", "", found.group()))


def _is_phone(text: str) -> bool:
    return PHONE.fullmatch(text) is not None and 8 <= sum(character.isdigit() for character in text) <= 15


def _is_run_of_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and 9 <= len(text) <= 13


_SOCIAL_DIGITS = _Form(
    "social_security",
    lambda text: text.isascii() and text.isdigit() and 7 <= len(text) <= 9 and is_social_security(text),
    EVERY,
    DIGITS_ONLY,
    words=SOCIAL_WORDS,
    differ=True,
)
_PHONE_DIGITS = _Form("phone", _is_run_of_digits, USUAL, FEW, words=PHONE_WORDS, by_name_only=True)
_TEXT_FORMS: tuple[_Form, ...] = (
    _Form("email", lambda text: EMAIL.search(text) is not None, RARE, 3),
    _Form("social_security", lambda text: SOCIAL.search(text) is not None, RARE, 3),
    _Form("card", _has_card, RARE, 3),
    _Form("card", lambda text: DIGITS.fullmatch(text) is not None and is_card(text), USUAL, 5),
    _Form("phone", _is_phone, USUAL, 5),
    _SOCIAL_DIGITS,
    _PHONE_DIGITS,
)
_DIGIT_FORMS: tuple[_Form, ...] = (_Form("card", is_card, USUAL, 5), _SOCIAL_DIGITS, _PHONE_DIGITS)
