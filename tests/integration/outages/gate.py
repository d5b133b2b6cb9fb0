"""A door in front of a real service: open, shut, or slammed after so many connections or bytes."""

import contextlib
import select
import socket
import threading
from urllib.parse import urlsplit


class Gate:
    """Forwards TCP from a free loopback port to a service, for as long as it is open.

    Attributes:
        port: Where clients knock.
        connections: How many came in since it was opened.
        bytes: How many went through to the service since it was opened.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        """Stand before an address, or before a Unix socket by its path."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self.connections = self.bytes = 0
        self._shut = False
        self._most: float = float("inf")
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def before(cls, url: str) -> "Gate":
        """Return a gate in front of an ``http://`` address."""
        parts = urlsplit(url)
        return cls((str(parts.hostname), int(parts.port or 80)))

    @property
    def url(self) -> str:
        """Where clients knock, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def open(self, most_bytes: float = float("inf")) -> None:
        """Let everything through, or slam the door once so many bytes went to the service."""
        with self._lock:
            self.connections, self.bytes, self._most, self._shut = 0, 0, most_bytes, False

    def shut(self) -> None:
        """Cut what is open, and let nothing in."""
        with self._lock:
            self._shut = True
            live, self._live = self._live, set()
        for one in live:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._shut:
                client.close()
                continue
            self.connections += 1
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            service = self._connected()
        except OSError:
            client.close()
            return
        with client, service:
            with self._lock:
                self._live |= {client, service}
            other = {client: service, service: client}
            while not self._shut:
                ready, _, _ = select.select([client, service], [], [], 0.05)
                for one in ready:
                    try:
                        chunk = one.recv(1 << 16)
                        if not chunk:
                            return
                        if one is client and self._slams(len(chunk)):
                            return
                        other[one].sendall(chunk)
                    except OSError:
                        return

    def _connected(self) -> socket.socket:
        if not isinstance(self._target, str):
            return socket.create_connection(self._target, timeout=10)
        service = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        service.connect(self._target)
        return service

    def _slams(self, size: int) -> bool:
        with self._lock:
            self.bytes += size
            slams = self.bytes > self._most
        if slams:
            self.shut()
        return slams
