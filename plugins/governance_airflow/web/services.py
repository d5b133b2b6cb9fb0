"""What the pages and the API stand on: the review desk, and who touched a run.

One place opens them, at the first request rather than at import, so that a missing key or an unreachable ledger is an
answer that a person can read, not an API server that does not start.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from fastapi import Request

from governance.keys import PublicKeys, Signer
from governance.ledger.log import Ledger
from governance.review.desk import ReviewDesk, RunActors
from governance.settings import Settings, load_settings

log = logging.getLogger(__name__)

SHORTEST_TOKEN = 20
"""Letters of the token for metrics."""


class ReadRunActors(Protocol):
    """Returns login → what that person did to a run."""

    def __call__(self, run_id: str, dag_id: str | None = None) -> RunActors:
        """Ask Airflow's database."""


@dataclass(frozen=True)
class Services:
    """What a request needs.

    Attributes:
        settings: Of this process.
        open_desk: Returns the review desk, the same one each time.
        run_actors: Who started, cleared or changed a run.
    """

    settings: Settings
    open_desk: Callable[[], ReviewDesk]
    run_actors: ReadRunActors

    def metrics_token(self) -> str:
        """Return what Prometheus sends; empty where it has no token. Read each time, so that it can be changed.

        A file that is missing, or holds too little to be a secret, opens nothing; the log says so, and no answer.
        """
        path = self.settings.metrics_token
        if path is None:
            return ""
        token = path.read_text().strip() if path.is_file() else ""
        if len(token) >= SHORTEST_TOKEN:
            return token
        log.error(
            "Expected a token of at least %d letters in %s (GOVERNANCE_METRICS_TOKEN), found %d: Prometheus is "
            "refused. Write one there: python -c 'import secrets; print(secrets.token_urlsafe(32))'.",
            SHORTEST_TOKEN,
            path,
            len(token),
        )
        return ""

    def actors(self, model: str, run_id: str) -> RunActors:
        """Return who touched a run of a model's DAG."""
        return self.run_actors(run_id, f"govern_{model}")


class ActorsOfRuns(Mapping[str, RunActors]):
    """Run id → who touched it, asked for only when it is looked at."""

    def __init__(self, read: ReadRunActors) -> None:
        self._read = cache(read)

    def __getitem__(self, run_id: str) -> RunActors:
        """Ask about one run."""
        return self._read(run_id)

    def __iter__(self) -> Iterator[str]:
        """Nothing is known before it is asked for."""
        return iter(())

    def __len__(self) -> int:
        """Nothing is known before it is asked for."""
        return 0

    def __bool__(self) -> bool:
        """It can be asked, so it is not the same as no answer."""
        return True


def of(request: Request) -> Services:
    """Return the services of the application that answers this request."""
    services: Services = request.app.state.services
    return services


def production() -> Services:
    """Return the services of a real API server.

    Raises:
        InputError: The settings are wrong.
    """
    from governance_airflow.run_actors import read_run_actors

    settings = load_settings()
    return Services(settings, cache(lambda: _open_desk(settings)), read_run_actors)


def _open_desk(settings: Settings) -> ReviewDesk:
    signer = Signer.from_file(settings.review_key, "review") if settings.review_key else None
    keys = PublicKeys.from_folder(settings.public_keys)
    return ReviewDesk(settings, Ledger(settings.require("ledger_url")), keys, signer)
