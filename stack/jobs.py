"""What is done once, each in a container that ends: before the services of production start, and to save and restore.

What is done before each start is repeatable. Whatever works on databases as superuser is done here and nowhere else;
``airflow-tables`` is the only one that knows what people first log in with.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg

from governance.ledger.log import Ledger
from stack import backup
from stack.airflow_setup import write_files
from stack.databases import ALL_DATABASES, ALL_LOGINS, Connect, make_databases, provision
from stack.errors import StackError
from stack.logins import as_documents, people_of
from stack.production import BUCKET, MLFLOW_LOGINS, Production, bucket
from stack.services import airflow_database, airflow_environment

Json = dict[str, Any]


def databases(layout: Production) -> None:
    """Make databases and roles that are missing, set their passwords, and apply our schemas."""
    provision(layout, _superuser(layout), ALL_DATABASES, ALL_LOGINS)


def _superuser(layout: Production) -> Connect:
    def connect(database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(layout.database_url("postgres", database), autocommit=True, connect_timeout=10)

    return connect


def airflow_tables(layout: Production) -> None:
    """Bring Airflow's tables up to its version, and make roles and logins that are missing; no password is changed."""
    write_files(layout)
    passwords = json.loads(layout.secret("logins"))
    people = people_of(layout.root, lambda login: str(passwords.get(login) or _no_password(login)))
    environment = {**airflow_environment(layout), **airflow_database(layout)}
    path = f"{layout.root}:{environment['PYTHONPATH']}"
    subprocess.run(
        [sys.executable, "-m", "stack.bootstrap", "--keep-passwords"],
        input=json.dumps(as_documents(people)).encode(),
        env={**os.environ, **environment, "PYTHONPATH": path},
        cwd=layout.airflow_home,
        check=True,
    )


def _no_password(login: str) -> str:
    raise StackError(
        f"Expected a first password of {login} in the secret logins, found none: people.yaml knows this login. Run "
        f"`make secrets`, which adds what is missing."
    )


def mlflow_bucket(layout: Production) -> None:
    """Make the bucket that MLflow keeps artifacts in."""
    client = _object_store(layout)
    known = {each["Name"] for each in client.list_buckets()["Buckets"]}
    if BUCKET not in known:
        client.create_bucket(Bucket=BUCKET)


def _object_store(layout: Production) -> Any:
    import boto3

    own = bucket(layout)
    return boto3.client(
        "s3",
        endpoint_url=own["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"],
        region_name=own["AWS_DEFAULT_REGION"],
    )


def mlflow_logins(layout: Production) -> None:
    """Make MLflow's logins: whoever has one may read, and owns what it makes; the administrator is there already."""
    import httpx

    administrator, *others = MLFLOW_LOGINS
    login = (administrator, layout.secret(f"mlflow-{administrator}"))
    with httpx.Client(base_url=layout.url("mlflow"), auth=login, timeout=60, trust_env=False) as client:
        for name in others:
            known = client.get("/api/2.0/mlflow/users/get", params={"username": name})
            password = layout.secret(f"mlflow-{name}")
            if known.status_code == 404:
                _accepted(client.post("/api/2.0/mlflow/users/create", json={"username": name, "password": password}))
            else:
                _accepted(known)
                body = {"username": name, "password": password}
                _accepted(client.patch("/api/2.0/mlflow/users/update-password", json=body))


def _accepted(answer: Any) -> None:
    if answer.is_error:
        raise StackError(f"MLflow refused {answer.request.url.path}: {answer.status_code} {answer.text[:300]}")


def save_all(layout: Production) -> None:
    """Save everything into a new folder, named after the time."""
    folder = layout.state / BACKUPS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    manifest = backup.save(_places(layout), folder)
    head = manifest["ledger"]
    print(f"Saved {len(manifest['files'])} files in {folder}. Ledger {head['seq']}:{head['chain']}")


def restore_last(layout: Production) -> None:
    """Bring the newest backup back, into empty databases; to restore another one, leave it alone in the folder."""
    saved = sorted(path.parent for path in (layout.state / BACKUPS).glob(f"*/{backup.MANIFEST}"))
    if not saved:
        raise StackError(f"Expected a backup in {layout.state / BACKUPS}, found none.")
    make_databases(_superuser(layout), ALL_DATABASES, ALL_LOGINS)
    mlflow_bucket(layout)
    head = backup.restore(_places(layout), saved[-1])["ledger"]
    print(f"Restored {saved[-1]}; the ledger is whole up to {head['seq']}:{head['chain']}.")


def _places(layout: Production) -> backup.Places:
    urls = {name: layout.database_url("postgres", name) for name in backup.DATABASES}
    artifacts = backup.Bucket(_object_store(layout), BUCKET)
    snapshots = backup.Folder(layout.state / "snapshots")
    return backup.Places(urls, artifacts, snapshots, Ledger(urls["governance"]))


BACKUPS = "backups"
"""Below the state folder."""

JOBS: Mapping[str, Callable[[Production], None]] = {
    "databases": databases,
    "airflow-tables": airflow_tables,
    "mlflow-bucket": mlflow_bucket,
    "mlflow-logins": mlflow_logins,
    "backup": save_all,
    "restore": restore_last,
}
"""By name."""
