"""A ledger in memory and a login without Airflow's database, so that the pages are tested with the real desk."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import FastAPI
from jwt import InvalidTokenError

from governance.errors import UnavailableError
from governance.keys import PublicKeys, Signer
from governance.ledger.log import Entry
from governance.review.desk import ReviewDesk
from governance.review.evidence import digest_of
from governance_airflow.run_actors import AirflowUnavailableError
from governance_airflow.web.app import create_app, stand_on
from governance_airflow.web.services import Services
from governance_plugin import SharedLink
from tests.unit.plugins import example


class LedgerInMemory:
    """What the desk needs of a ledger. ``away`` makes it unreachable, ``hours`` writes entries in the past."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.texts: dict[str, str] = {}
        self.away = False

    def append(self, kind: str, subject: str, data: dict, *, actor: str, key: str, at: datetime | None = None) -> Entry:
        self._answer()
        known = next((entry for entry in self.entries if entry.key == key), None)
        if known:
            return replace(known, created=False)
        entry = Entry(
            seq=len(self.entries) + 1,
            kind=kind,
            subject=subject,
            actor=actor,
            key=key,
            at=at or datetime.now(UTC),
            data=dict(data),
            writer="test",
            leaf="00" * 32,
            chain="00" * 32,
            created=True,
            body=b"",
        )
        self.entries.append(entry)
        return entry

    def get(self, key: str) -> Entry | None:
        self._answer()
        return next((entry for entry in self.entries if entry.key == key), None)

    def find(
        self,
        kind: str | None = None,
        subject: str | None = None,
        after: int = 0,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        self._answer()
        found = [
            entry
            for entry in self.entries
            if kind in (None, entry.kind) and subject in (None, entry.subject) and entry.seq > after
        ]
        return (found[::-1] if newest_first else found)[:limit]

    def backwards(self, kind: str, subject: str | None = None) -> Iterator[Entry]:
        yield from self.find(kind, subject, newest_first=True)

    def keep(self, text: str) -> dict[str, str]:
        self._answer()
        name = secrets.token_hex(8)
        self.texts[name] = text
        return {"id": name, "commitment": name}

    def recall(self, name: str) -> str | None:
        self._answer()
        return self.texts.get(name)

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("The ledger does not answer.")


def key_files(folder: Any) -> tuple[Any, Any]:
    """Write a review key pair as the stack does, and return the private file and the folder of public keys."""
    key, public = Ed25519PrivateKey.generate(), folder / "public"
    public.mkdir(parents=True)
    private = folder / "review.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    (public / "review.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def ask(
    ledger: LedgerInMemory,
    evidence: dict,
    digest: str,
    *,
    asked: timedelta = timedelta(hours=-3),
    lasts: timedelta = timedelta(days=7),
) -> None:
    """Enter a run and its evidence, as the pipeline does."""
    at = datetime.now(UTC) + asked
    run_id = "manual__2026-10-29T09:08:00+00:00"
    ledger.append("run", "loan", {"run_id": run_id}, actor="p-9a47", key=f"run:{run_id}", at=at)
    data = {"digest": digest, "evidence": evidence, "run_id": run_id, "expires_at": (at + lasts).isoformat()}
    ledger.append("evidence", "loan", data, actor="pipeline", key=f"evidence:{digest}", at=at)


class User(BaseUser):
    """A login."""

    def __init__(self, login: str) -> None:
        self.login = login

    def get_id(self) -> str:
        return "1"  # as FAB does: not the login

    def get_name(self) -> str:
        return self.login


class AuthManager:
    """Airflow's auth manager as far as a request meets it: a token is ``token-<login>``; `outsider` sees no plugins."""

    async def get_user_from_token(self, token: str) -> User:
        if not token.startswith("token-"):
            raise InvalidTokenError("forged")
        return User(token.removeprefix("token-"))

    def is_authorized_view(self, *, access_view: Any, user: User) -> bool:
        return user.login != "outsider"


@cache
def _mounted() -> tuple[FastAPI, FastAPI]:
    """Return the application and what it is mounted in, made once: to describe every route takes long."""
    app, airflow = create_app(Services(example.SETTINGS, lambda: None, lambda *_: {})), FastAPI()
    airflow.mount("/governance", app)
    for place in ("/review", "/waivers", "/standing-approvals", "/incidents", "/monitoring", "/lineage"):
        airflow.mount(place, SharedLink(place))
    return app, airflow


class Office:
    """The application as Airflow mounts it, with what it stands on in reach of a test."""

    def __init__(self, private: Path, public: Path) -> None:
        self.ledger = LedgerInMemory()
        signer, keys = Signer.from_file(private, "review"), PublicKeys.from_folder(public)
        settings = replace(example.SETTINGS, mlflow_url="http://mlflow.test:5000")
        self.desk = ReviewDesk(settings, self.ledger, keys, signer)
        self.actors: dict[str, list[str]] = {}
        self.airflow_database_away = False
        self.app, self.airflow = _mounted()
        stand_on(self.app, Services(settings, lambda: self.desk, self._run_actors))

    def _run_actors(self, run_id: str, dag_id: str | None = None) -> dict[str, list[str]]:
        if self.airflow_database_away:
            raise AirflowUnavailableError("Airflow's database does not answer. Nothing was recorded.")
        return self.actors

    def blocked_attempt(self) -> str:
        """Enter the attempt that is blocked; return its digest."""
        return self._ask(example.blocked_evidence())

    def waiting_attempt(self, **time: timedelta) -> str:
        """Enter both attempts, the second waiting to be signed; return its digest."""
        self.blocked_attempt()
        return self._ask(example.evidence(), **time)

    def _ask(self, document: dict, **time: timedelta) -> str:
        digest = digest_of(document)
        ask(self.ledger, document, digest, **time)
        return digest

    def sign(self, login: str, answer: str = "approve", comment: str = "") -> None:
        """Decide, as the API does."""
        request = self.desk.request("loan", "1.0.0")
        points = list(request.checklist)
        self.desk.decide(
            login=login,
            model="loan",
            version="1.0.0",
            evidence=request.digest,
            answer=answer,
            confirmed=points,
            comment=comment,
        )

    def kinds(self) -> list[str]:
        """Return what was entered after the evidence."""
        return [entry.kind for entry in self.ledger.entries if entry.kind not in ("run", "evidence")]
