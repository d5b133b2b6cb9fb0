"""Marquez, as delivery sees it: one kept-alive connection that takes an event, refuses it, or does not answer.

Every request ends: each read and write has its time limit, and :meth:`Marquez.cut_if_late` ends a server that trickles.
A refusal is what a server says of the event's own content; any other answer but yes may be said of the same event
differently tomorrow, so it is sent again.

Endpoints: https://marquezproject.github.io/marquez/openapi.html. Marquez does not take tags from events, so those that
matter to people are set by its tag API, again and again: it knows them by their name.
"""

import http.client
import json
import socket
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

from governance.errors import InputError, UnavailableError

Json = dict[str, Any]

SECONDS = 5.0
"""How long one read or write may take."""

LATE_SECONDS = 15.0
"""How long a request may take in all."""

OF_THE_EVENT = (400, 413, 422)
"""Answers that will be the same whenever this event is sent: not this format, too large, not this content."""

WHOLE = 20
"""Steps around a data set that are drawn: Marquez's page draws two unless it is told."""

REASON_BYTES = 2000
LINEAGE = "/api/v1/lineage"


def page_of(url: str, namespace: str, name: str) -> str:
    """Return where Marquez's web page shows a data set: the whole graph around it, and beside it what is known of it.

    Args:
        url: Marquez's web page.
        namespace: Of the data set.
        name: Of the data set.
    """
    place = quote(namespace, safe=""), quote(name, safe="")
    chosen = ":".join(("dataset", *place))
    return f"{url.rstrip('/')}/lineage/dataset/{'/'.join(place)}?depth={WHOLE}&tableLevelNode={chosen}"


class RefusedEventError(Exception):
    """Marquez will never take this event."""


class AwayError(UnavailableError):
    """Nothing that is Marquez answers."""


class FailedEventError(UnavailableError):
    """Marquez answered, and could not take this event now."""


class Marquez:
    """A connection to Marquez; opened when it is needed, kept, and opened again where it was closed.

    Args:
        url: Where Marquez's API is, or its web page, which passes the API on.
        seconds: How long one read or write may take.
        late: How long a request may take in all.

    Raises:
        InputError: That is no HTTP address.
    """

    def __init__(self, url: str, seconds: float = SECONDS, late: float = LATE_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"Expected MARQUEZ_URL to be an address such as http://localhost:5000, found {url!r}.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url, self._prefix, self._late = url.rstrip("/"), parts.path.rstrip("/"), late
        self._connection = kind(parts.hostname, parts.port, timeout=seconds)
        self._since: float | None = None
        self._cut = False

    def send(self, text: str) -> None:
        """Send an event.

        Raises:
            RefusedEventError: It will never be taken.
            FailedEventError: It could not be taken now.
            AwayError: Nothing that is Marquez answers.
        """
        self._request("POST", LINEAGE, text.encode())

    def tag(self, tag: str, why: str, namespace: str, dataset: str, field: str | None) -> None:
        """Set a tag on a data set, or on a field of it. Repeatable.

        Raises:
            RefusedEventError: Marquez does not know the data set or the field.
            FailedEventError: As :meth:`send`.
            AwayError: As :meth:`send`.
        """
        self._request("PUT", f"/api/v1/tags/{quote(tag, safe='')}", json.dumps({"description": why}).encode())
        place = f"/api/v1/namespaces/{quote(namespace, safe='')}/datasets/{quote(dataset, safe='')}"
        place += f"/fields/{quote(field, safe='')}" if field is not None else ""
        self._request("POST", f"{place}/tags/{quote(tag, safe='')}", b"", unknown=(404,))

    def cut_if_late(self) -> None:
        """End a request that takes too long in all; called from another thread."""
        since, sock = self._since, getattr(self._connection, "sock", None)
        if since is not None and sock is not None and time.monotonic() - since > self._late:
            self._cut = True
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes, unknown: tuple[int, ...] = ()) -> None:
        status, reason = self._answer(method, path, body)
        if 200 <= status < 300:
            return
        if status in OF_THE_EVENT or status in unknown:
            raise RefusedEventError(f"{status} {reason}".strip())
        if status >= 500 or status in (408, 425, 429):
            raise FailedEventError(f"Expected Marquez at {self.url} to take an event, found {status} {reason}".strip())
        raise AwayError(
            f"Expected Marquez at {self.url}, found something that answers {status} to {method} {path}. "
            f"Correct MARQUEZ_URL, or what stands before it."
        )

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        kept = self._connection.sock is not None
        try:
            return self._once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            # A server closes what it has not heard of for a while; that is told only to who writes next.
            if not kept or isinstance(error, TimeoutError):
                raise self._away(error) from error
        try:
            return self._once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._away(error) from error

    def _once(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        self._since, self._cut = time.monotonic(), False
        try:
            self._connection.request(method, self._prefix + path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            said = answer.read(REASON_BYTES)
            if self._cut or not answer.headers:  # Python's own client takes the first line for a whole answer
                raise http.client.IncompleteRead(said)
            if answer.read(1):  # more than anybody reads; the connection cannot be used again
                self._connection.close()
            return answer.status, " ".join(said.decode(errors="replace").split())
        finally:
            self._since = None

    def _away(self, error: BaseException) -> AwayError:
        said = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        return AwayError(f"Expected Marquez at {self.url} to answer, found {said.rstrip('. :')}.")
