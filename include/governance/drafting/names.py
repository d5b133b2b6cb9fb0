"""What the names of columns give away.

A name is cut into words at every change of case, digit and punctuation: ``nativeCountry``, ``native_country`` and
``Native country`` are the same two. English, with the commonest words of German, French, Spanish and Italian.
"""

import re
from collections.abc import Iterable

from governance.catalog import PersonalKind

WORD = re.compile(r"[^\W\d_]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROTECTED: dict[str, frozenset[str]] = {
    "sex": _set(
        "sex gender male female males females man woman men women fem sexe genre sexo geschlecht sesso genere "
        "homme femme weiblich maennlich"
    ),
    "race": _set(
        "race races racial ethnicity ethnic ethnicities black white hispan hispanic hisp latino latina asian nonwhite "
        "minority caucasian african blck whte rasse ethnie etnia raza razza"
    ),
    "age": _set("age ages agesq agegroup alter edad eta idade birthyear geburtsjahr"),
    "marital status": _set(
        "married marital marr marstat maritalstatus divorced widowed unmarried spouse verheiratet familienstand "
        "marie mariee casado casada"
    ),
    "religion": _set("religion religious relig religiosity faith muslim christian catholic jewish hindu konfession"),
    "disability": _set("disability disabled disab disabl handicap handicapped behinderung schwerbehindert"),
    "nationality": _set(
        "nationality citizen citizenship foreign foreigner immigrant immig immigration nativity birthplace "
        "nationalite staatsangehoerigkeit nacionalidad foreignborn"
    ),
    "pregnancy": _set("pregnant pregnancy preg schwanger schwangerschaft enceinte"),
    "sexual orientation": _set("orientation gay lesbian homosexual lgbt"),
    "veteran status": _set("veteran vet veterans"),
}
"""Attribute → words. What US, EU and UK law protect in credit, work or housing, as far as names tell."""

PROTECTED_PAIRS: tuple[tuple[str, str, str], ...] = (
    ("nationality", "native", "country"),
    ("nationality", "country", "birth"),
    ("nationality", "national", "origin"),
    ("race", "african", "american"),
)
"""Attribute, and two words that together name it."""

PROXIES = _set("zip zipcode postcode postal plz tract neighborhood neighbourhood district suburb county")
"""Where people live tells much of who they are."""

PERSONAL: dict[PersonalKind, frozenset[str]] = {
    "email": _set("email mail"),
    "phone": _set("phone telephone mobile fax telefon"),
    "social_security": _set("ssn"),
    "name": _set("surname lastname firstname forename fullname vorname nachname prenom"),
    "other": _set("passport iban address street strasse adresse birthdate dob birthday geburtsdatum"),
}
PERSONAL_PAIRS: tuple[tuple[PersonalKind, str, str], ...] = (
    ("name", "first", "name"),
    ("name", "last", "name"),
    ("name", "full", "name"),
    ("name", "family", "name"),
    ("other", "date", "birth"),
    ("social_security", "social", "security"),
)
"""Kind, and two words that together name it."""

IDENTIFIER = _set("id ids uuid guid key nr identifier rowid rownum index lfdnr")

UNFAVOURABLE = _set(
    "default defaulted fraud churn churned arrest arrested reject rejected rejection denied deny denial bankrupt "
    "bankruptcy late delinquent delinquency bad fail failed failure dead death died sick ill disease cancer malignant "
    "recidivism recid reoffend unemployed dropout chargeoff loss layoff fired attrition"
)
"""Words of a target whose yes is bad news."""

FAVOURABLE_VALUES = _set(
    "yes y true t 1 good paid approve approved accept accepted grant granted pass passed success successful hired "
    "admitted ok repaid current healthy benign positive ja oui si"
)
UNFAVOURABLE_VALUES = _set(
    "no n false f 0 bad unpaid default defaulted deny denied reject rejected refused fail failed failure malignant "
    "negative nein non"
)

YES_AND_NO = _set("yes y true t 1 ja oui si positive no n false f 0 nein non negative")
"""Values that mean nothing without the target's name."""


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name, in lower case."""
    return tuple(word.lower() for word in WORD.findall(CAMEL.sub(" ", name)))


def attribute_of(name: str) -> str | None:
    """Return the protected attribute that a name speaks of."""
    found = words(name)
    for attribute, *pair in PROTECTED_PAIRS:
        if set(pair) <= set(found):
            return attribute
    return next((attribute for attribute, known in PROTECTED.items() if any(word in known for word in found)), None)


def is_proxy(name: str) -> bool:
    """Say whether a name speaks of a place that people live in."""
    return _any(words(name), PROXIES)


def personal_kind(name: str) -> PersonalKind | None:
    """Return what kind of personal data a name speaks of: what identifies or reaches a person."""
    found = words(name)
    for kind, *pair in PERSONAL_PAIRS:
        if set(pair) <= set(found):
            return kind
    return next((kind for kind, known in PERSONAL.items() if _any(found, known)), None)


def is_identifier(name: str) -> bool:
    """Say whether a name ends, or begins, as those of identifiers do."""
    found = words(name)
    return bool(found) and (found[-1] in IDENTIFIER or found[0] in IDENTIFIER)


def is_unfavourable(name: str) -> bool:
    """Say whether a yes to this target is bad news."""
    return _any(words(name), UNFAVOURABLE)


def _any(found: Iterable[str], known: frozenset[str]) -> bool:
    return any(word in known for word in found)
