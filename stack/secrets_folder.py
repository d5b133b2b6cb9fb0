"""Makes what is missing in the folder of secrets: ``make secrets``, or ``python -m stack.secrets_folder FOLDER``.

One file a secret, random, never replaced; ``docker-compose.yaml`` mounts each into the containers that may read it and
no other. Only the folder is closed (0700): containers run as other users than the one who made the files, and a mounted
file keeps its owner and mode. Keep the folder out of backups of the host, and out of version control.
"""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.databases import ALL_LOGINS
from stack.keys import KEYS, make_pair
from stack.layout import write_whole
from stack.logins import new_password, people_of
from stack.production import MLFLOW_LOGINS, S3_KEY
from stack.services import LABEL_TOKENS, new_fernet_key, new_label_token, signing_secret

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = "public"
"""Folder of the public keys, below that of the secrets."""

DATABASE_ROLES = sorted({"postgres", *(role for roles in ALL_LOGINS.values() for role in roles)})


def _word() -> str:
    return secrets.token_urlsafe(32)


SECRETS: Mapping[str, Callable[[], str]] = {
    **{f"postgres-{role}": _word for role in DATABASE_ROLES},
    **{f"mlflow-{login}": _word for login in MLFLOW_LOGINS},
    "mlflow-session": _word,
    "redis": _word,
    "s3-mlflow": _word,
    "airflow-fernet": new_fernet_key,
    "airflow-session": _word,
    "jwt-core": signing_secret,
    "jwt-execution": signing_secret,
    "metrics-token": _word,
    "grafana-admin": _word,
    LABEL_TOKENS: new_label_token,
}
"""Secret → what makes it; ``key-…``, ``logins`` and ``s3-identities`` are made from others."""


def make(folder: Path, root: Path = ROOT) -> list[str]:
    """Make what is missing, and return the names of what was made.

    Args:
        folder: Where secrets are; made if need be.
        root: The checkout whose people get a login.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    made = [name for name, new in SECRETS.items() if _keep(folder / name, new)]
    made += [f"key-{name}" for name in KEYS if _keep_pair(folder, name)]
    made += ["s3-identities"] if _keep(folder / "s3-identities", lambda: _s3_identities(folder)) else []
    return made + (["logins"] if _add_logins(folder / "logins", root) else [])


def _keep(path: Path, new: Callable[[], str]) -> bool:
    if path.exists() and path.read_text().strip():
        return False
    write_whole(path, new())
    return True


def _keep_pair(folder: Path, name: str) -> bool:
    private = folder / f"key-{name}"
    if private.exists():
        return False
    (folder / PUBLIC).mkdir(exist_ok=True)
    secret, public = make_pair()
    # The private half last: its presence says that the pair is complete.
    write_whole(folder / PUBLIC / f"{name}.pem", public)
    write_whole(private, secret)
    return True


def _s3_identities(folder: Path) -> str:
    credentials = [{"accessKey": S3_KEY, "secretKey": (folder / "s3-mlflow").read_text().strip()}]
    return json.dumps({"identities": [{"name": S3_KEY, "credentials": credentials, "actions": ["Admin"]}]})


def _add_logins(path: Path, root: Path) -> bool:
    known = json.loads(path.read_text()) if path.exists() else {}
    everybody = {person.login: person.password for person in people_of(root, lambda _: new_password())}
    missing = everybody.keys() - known.keys()
    if missing:
        write_whole(path, json.dumps({**everybody, **known}, indent=1) + "\n")
    return bool(missing)


def main() -> int:
    """Make what is missing and say what it was."""
    parser = argparse.ArgumentParser(prog="python -m stack.secrets_folder", description="Makes what is missing.")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "secrets")
    folder = parser.parse_args().folder.resolve()
    made = make(folder)
    print(f"Made {len(made)} in {folder}: {', '.join(made)}." if made else f"Nothing is missing in {folder}.")
    print(f"What people first log in with stands in {folder / 'logins'}: have them change it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
