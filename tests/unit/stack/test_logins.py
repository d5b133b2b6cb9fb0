from pathlib import Path

import pytest

from stack.layout import Layout
from stack.logins import ADMIN, AUDITOR, ENGINEER, REVIEWER, logins, write_logins


@pytest.mark.parametrize(
    ("login", "role"),
    [
        ("ken", ENGINEER),
        ("luis", ENGINEER),
        ("dana", ENGINEER),  # she reviews other models, but develops this one
        ("maria", REVIEWER),
        ("tom", REVIEWER),
        ("omar", AUDITOR),
        ("priya", REVIEWER),
        ("maintainers", REVIEWER),
        ("admin", ADMIN),
    ],
)
def test_who_builds_models_may_run_them_and_everybody_else_may_look(layout: Layout, login: str, role: str) -> None:
    assert {person.login: person.role for person in logins(layout)}[login] == role


def test_passwords_are_random_and_kept(layout: Layout) -> None:
    first = {person.login: person.password for person in logins(layout)}
    assert {person.login: person.password for person in logins(layout)} == first
    assert len(set(first.values())) == len(first)
    assert min(map(len, first.values())) >= 12


def test_the_list_of_logins_is_for_its_owner_only(layout: Layout) -> None:
    people = logins(layout)
    path = write_logins(layout, people)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert [line.split()[:2] for line in path.read_text().splitlines()] == [[p.login, p.password] for p in people]


def test_no_two_people_share_an_email_which_airflow_would_refuse(layout: Layout) -> None:
    emails = [person.email for person in logins(layout)]
    assert len(set(emails)) == len(emails)


def test_a_person_new_in_the_file_gets_a_login(layout: Layout, tmp_path: Path) -> None:
    include = tmp_path / "root" / "include"
    include.mkdir(parents=True)
    (include / "people.yaml").write_text("people: [{login: ann, id: p-1, name: Ann, roles: []}]")
    people = logins(Layout(tmp_path / "root", tmp_path, layout.ports))
    assert [(person.login, person.role) for person in people] == [("ann", REVIEWER), ("admin", ADMIN)]
