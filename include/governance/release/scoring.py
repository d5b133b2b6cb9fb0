"""The scoring service as the release sees it: nudge it, ask what it serves, and put rows to it."""

import time
from collections.abc import Sequence
from typing import Any

from governance.errors import RefusedError, UnavailableError

Json = dict[str, Any]

REQUEST_SECONDS = 10.0
PAUSE_SECONDS = 0.1


class ScoringService:
    """A running scoring service.

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
            answer = httpx.request(method, f"{self.url}{path}", json=body, timeout=REQUEST_SECONDS)
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
