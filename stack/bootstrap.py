"""Airflow's first start, in one process: tables, roles, logins.

Run by the supervisor as ``python -m stack.bootstrap``, early: Airflow's import takes seconds, in which PostgreSQL
is still being made. What to do arrives on standard input, as soon as the database is there. Repeatable. With
``--keep-passwords`` somebody who is there already keeps the password, which may be a new one by now.
"""

import json
import sys
from typing import Any

from airflow.providers_manager import ProvidersManager
from airflow.utils import db

from stack.logins import AUDITOR, ENGINEER, REVIEWER


def main() -> None:
    """Read the logins from standard input and bring Airflow's database up to them."""
    providers: Any = ProvidersManager
    providers().initialize_providers_configuration()
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    people = json.load(sys.stdin)
    keep = "--keep-passwords" in sys.argv[1:]
    db.upgradedb()
    builder: Any
    with get_application_builder() as builder:
        builder.add_permissions(update_perms=True)
        builder.sm.sync_roles()
        _make_roles(builder.sm)
        for person in people:
            _make_login(builder.sm, person, keep)


def _make_roles(security: Any) -> None:
    configs = {config["role"]: config["perms"] for config in security.ROLE_CONFIGS}
    # FAB's Viewer and User do not see a plugin's page at all.
    pages = [("can_read", "Plugins")]
    security.bulk_sync_roles(
        [
            {"role": ENGINEER, "perms": [*configs["User"], *pages]},
            {"role": REVIEWER, "perms": [*configs["Viewer"], *pages]},
            {"role": AUDITOR, "perms": [*configs["Viewer"], *pages, ("can_read", "Audit Logs")]},
        ]
    )


def _make_login(security: Any, person: dict[str, str], keep: bool) -> None:
    role = security.find_role(person["role"])
    first, _, last = person["name"].partition(" ")
    user = security.find_user(username=person["login"])
    if user is None:
        security.add_user(person["login"], first, last, person["email"], role, person["password"])
        return
    user.roles = [role]
    user.first_name, user.last_name = first, last
    security.update_user(user)
    if not keep and not security.check_password(person["login"], person["password"]):
        security.reset_password(user.id, person["password"])


if __name__ == "__main__":
    main()
