"""The scoring service as the release sees it: nudge it, ask what it serves, and put rows to it.

It may run several times, behind a proxy that gives each request to any of them. Here every replica is asked by its own
address, for what one of them says is not true of the others.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from governance.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    import ssl

Json = dict[str, Any]

REQUEST_SECONDS = 10.0
PAUSE_SECONDS = 0.1


class ScoringService:
    """One running process of the scoring service.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def health(self) -> None:
        """Ask whether it is up.

        Raises:
            UnavailableError: It does not answer.
        """
        self._ask("GET", "/health")

    def refresh(self, model: str) -> int:
        """Tell it to look at the champion now; harmless to repeat.

        Returns:
            The number of its look that will have seen what is in MLflow now.

        Raises:
            UnavailableError: It does not answer.
        """
        return int(self._ask("POST", f"/models/{model}/refresh")["look"])

    def state(self, model: str) -> Json:
        """Return what it says of a model: ``state``, ``evidence``, ``registry_version`` and so on.

        Raises:
            UnavailableError: It does not answer.
        """
        return self._ask("GET", f"/models/{model}")

    def wait_for(self, model: str, registry_version: int, evidence: str, look: int, seconds: float) -> None:
        """Wait until it serves this evidence; refusals from before its look number ``look`` do not count.

        Raises:
            RefusedError: It refused, with its reason, or did not come round in time.
            UnavailableError: It did not answer in time.
        """
        deadline = time.monotonic() + seconds
        last: Json = {}
        while True:
            try:
                last = self.state(model)
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
            if last.get("state") == "serving" and last.get("evidence") == evidence:
                return
            refused = last.get("refused") or {}
            if last.get("looked", 0) >= look and refused.get("registry_version") == registry_version:
                raise RefusedError(f"The scoring service at {self.url} refused it: {refused['reason']}")
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"Expected the scoring service at {self.url} to serve evidence {evidence[:16]}… within "
                    f"{seconds:g} s, found {last.get('state', 'no answer')}: {last.get('reason') or 'no reason given'}."
                    f" Look at {self.url}/ready and release again."
                )
            time.sleep(PAUSE_SECONDS)  # between two looks, until the deadline

    def wait_until_gone(self, model: str, look: int, seconds: float) -> None:
        """Wait until it serves a model no more, as of its look number ``look``.

        Raises:
            RefusedError: It still serves it.
            UnavailableError: It does not answer.
        """
        deadline = time.monotonic() + seconds
        while True:
            state = self.state(model)
            if state.get("state") != "serving" and state.get("looked", 0) >= look:
                return
            if time.monotonic() > deadline:
                raise RefusedError(f"The scoring service at {self.url} still serves {model}: {state}.")
            time.sleep(PAUSE_SECONDS)  # between two looks, until the deadline

    def score(self, model: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Json:
        """Have rows predicted.

        Raises:
            RefusedError: It answered with an error.
            UnavailableError: It does not answer.
        """
        body = {"dataframe_split": {"columns": list(columns), "data": [list(row) for row in rows]}}
        return self._ask("POST", f"/models/{model}/invocations", body)

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        import httpx

        try:
            answer = httpx.request(
                method, f"{self.url}{path}", json=body, timeout=REQUEST_SECONDS, verify=_certificates()
            )
            document: Json = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError(
                f"Expected the scoring service at {self.url} to answer {method} {path}, found: "
                f"{error or type(error).__name__}. Start it (`make up`), or correct GOVERNANCE_SERVING_URL."
            ) from error
        if answer.is_error:
            raise RefusedError(
                f"{method} {path} of {self.url} answered {answer.status_code}: {document.get('message')}"
            )
        return document


@cache
def _certificates() -> "ssl.SSLContext":
    """Return what servers are known by, read once: to read it takes longer than to ask."""
    import httpx

    return httpx.create_ssl_context()


class Replicas:
    """Every process of the scoring service.

    One that does not answer serves nothing: it is left out as long as another answers, and looks at the champion by
    itself when it is back. So a way back is never barred by a replica that is down.

    Args:
        urls: Their addresses, with commas between them.
    """

    def __init__(self, urls: str) -> None:
        self.all = tuple(ScoringService(url.strip()) for url in urls.split(",") if url.strip())

    def refresh(self, model: str) -> dict[ScoringService, int]:
        """Tell each to look at the champion now, and return those that answer with the number of that look.

        Raises:
            UnavailableError: None of them answers.
        """
        looks: dict[ScoringService, int] = {}
        silent: UnavailableError | None = None
        for replica in self.all:
            try:
                looks[replica] = replica.refresh(model)
            except UnavailableError as error:
                silent = error
        if not looks:
            raise silent or UnavailableError("Expected an address in GOVERNANCE_SERVING_URL, found none.")
        return looks

    def wait_for(
        self, model: str, registry_version: int, evidence: str, looks: Mapping[ScoringService, int], seconds: float
    ) -> None:
        """Wait until each of these serves this evidence, all within ``seconds``.

        Raises:
            RefusedError: One refused, with its reason, or did not come round in time.
            UnavailableError: One did not answer in time.
        """
        deadline = time.monotonic() + seconds
        for replica, look in looks.items():
            replica.wait_for(model, registry_version, evidence, look, max(0.0, deadline - time.monotonic()))
