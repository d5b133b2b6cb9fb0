"""Who can log in to the local Airflow, and what Airflow lets them do there.

People come from ``include/people.yaml``. Those who build models (developers of one, and committers without a
review role) may start and repair runs: FAB's *User*. Everybody else may look: FAB's *Viewer*, so that a reviewer
cannot clear or patch a run; auditors see Airflow's own log of who did what, too. All see plugin pages. Who may
*sign*, and for what, is no matter of Airflow's roles:
the review page asks ``people.yaml``.

On one machine passwords are random, made at first start, and stand in ``<state>/logins.txt`` (mode 0600).
"""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from stack.layout import Layout, write_private

ENGINEER, REVIEWER, AUDITOR, ADMIN = "Engineer", "Reviewer", "Auditor", "Admin"


@dataclass(frozen=True)
class Login:
    """One login of Airflow."""

    login: str
    name: str
    email: str
    role: str
    password: str


def logins(layout: Layout) -> list[Login]:
    """Return everybody in ``people.yaml``, and ``admin``."""
    return people_of(layout.root, lambda login: password(layout, login))


def people_of(root: Path, password_of: Callable[[str], str]) -> list[Login]:
    """Return everybody in a checkout's ``people.yaml``, and ``admin``, with the passwords that a function knows."""
    document = yaml.safe_load((root / "include" / "people.yaml").read_text())
    developers = _developers(root)
    people = [*document["people"], {"login": "admin", "id": "", "name": "Administrator"}]
    return [_login(person, developers, password_of) for person in people]


def password(layout: Layout, login: str) -> str:
    """Return the password of a login, made when it is first asked for."""
    return layout.secret(f"login-{login}", new_password)


def write_logins(layout: Layout, people: list[Login]) -> Path:
    """Write ``logins.txt`` and return its path."""
    path = layout.state / "logins.txt"
    lines = [f"{person.login:14}{person.password:16}{person.role:10}{person.name}" for person in people]
    write_private(path, "\n".join(lines) + "\n")
    return path


def as_documents(people: list[Login]) -> list[dict[str, Any]]:
    """Return the logins as plain values, for the process that makes them in Airflow."""
    return [asdict(person) for person in people]


def new_password() -> str:
    """Return a password that a person can type."""
    # Without signs that are hard to tell apart or to type; 12 of 54 are 69 bits.
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(12))


def _login(person: dict[str, Any], developers: set[str], password_of: Callable[[str], str]) -> Login:
    name = person["login"]
    email = (person.get("emails") or [f"{name}@bank.example"])[0]
    return Login(name, person["name"], email, _role(person, developers), password_of(name))


def _role(person: dict[str, Any], developers: set[str]) -> str:
    if person["login"] == "admin":
        return ADMIN
    commits, reviews = bool(person.get("emails")), bool(person.get("roles"))
    builds = person["login"] in developers or person["id"] in developers
    if person.get("roles") == ["auditor"] and not builds:
        return AUDITOR
    return ENGINEER if builds or (commits and not reviews) else REVIEWER


def _developers(root: Path) -> set[str]:
    specs = (yaml.safe_load(path.read_text()) for path in root.glob("include/models/*/model.yaml"))
    return {str(person) for spec in specs for person in spec.get("developers", ())}
