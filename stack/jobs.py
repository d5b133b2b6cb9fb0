"""What is done once before the services of production start, each in a container that ends. All of it is repeatable.

``databases`` is the only one that knows the superuser's password, ``airflow-tables`` the only one that knows what
people first log in with.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from stack.airflow_setup import write_files
from stack.databases import provision
from stack.errors import StackError
from stack.logins import as_documents, people_of
from stack.production import ALL_DATABASES, ALL_LOGINS, BUCKET, MLFLOW_LOGINS, Production, bucket
from stack.services import airflow_database, airflow_environment

Json = dict[str, Any]


def databases(layout: Production) -> None:
    """Make databases and roles that are missing, set their passwords, and apply our schemas."""

    def connect(database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(layout.database_url("postgres", database), autocommit=True, connect_timeout=10)

    provision(layout, connect, ALL_DATABASES, ALL_LOGINS)


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
    import boto3

    own = bucket(layout)
    client = boto3.client(
        "s3",
        endpoint_url=own["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"],
        region_name=own["AWS_DEFAULT_REGION"],
    )
    known = {each["Name"] for each in client.list_buckets()["Buckets"]}
    if BUCKET not in known:
        client.create_bucket(Bucket=BUCKET)


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


JOBS: Mapping[str, Callable[[Production], None]] = {
    "databases": databases,
    "airflow-tables": airflow_tables,
    "mlflow-bucket": mlflow_bucket,
    "mlflow-logins": mlflow_logins,
}
"""By name."""
