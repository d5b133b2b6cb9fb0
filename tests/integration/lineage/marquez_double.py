"""A real HTTP server that takes events as Marquez does, and misbehaves when it is told to."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class Collector:
    """Records what it took. ``behaviour`` is asked before each request: a status to answer with, or something worse.

    Attributes:
        taken: The texts of events that were answered with 201, in the order in which that was done.
        tags: Namespace, data set, field or ``None``, and tag.
        attempts: Every event that arrived, taken or not.
        delay: Seconds that an answer takes.
        linked: Data sets that have a second name: Marquez 0.51 answers 500 to a tag on one.
    """

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.attempts: list[str] = []
        self.tags: set[tuple[str, str, str | None, str]] = set()
        self.known_tags: set[str] = set()
        self.delay = 0.0
        self.linked: set[str] = set()
        self.behaviour: Callable[[str], int | str] = lambda _: 201
        self.connections = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def runs(self) -> list[str]:
        """Return the run and kind of every event that was taken, in order."""
        events = [json.loads(text) for text in self.taken]
        return [f"{event['run']['runId']} {event['eventType']}" for event in events]

    def start(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with collector._lock:
                    collector.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                if self.path == "/api/v1/lineage":
                    self._lineage(body)
                else:
                    self._tag()

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                collector.known_tags.add(unquote(self.path.rpartition("/")[2]))
                self._say(200)

            def _lineage(self, body: str) -> None:
                collector.attempts.append(body)
                does = collector.behaviour(body)
                time.sleep(collector.delay)
                if does == "hang":
                    time.sleep(30)
                elif does == "trickle":
                    for letter in b"HTTP/1.1 201 Created\r\n" * 20:
                        self.wfile.write(bytes([letter]))
                        self.wfile.flush()
                        time.sleep(0.05)
                elif does == "cut":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                else:
                    if does == 201:
                        with collector._lock:
                            collector.taken.append(body)
                    self._say(int(does))

            def _tag(self) -> None:
                parts = [unquote(part) for part in self.path.split("/")]
                namespace, dataset = parts[4], parts[6]
                field = parts[8] if parts[7] == "fields" else None
                if dataset in collector.linked:
                    self._say(500)
                    return
                known = any(dataset in text for text in collector.taken) and parts[-1] in collector.known_tags
                if known:
                    collector.tags.add((namespace, dataset, field, parts[-1]))
                self._say(200 if known else 404)

            def _say(self, status: int) -> None:
                body = b"{}" if status < 400 else b'{"message": "no"}'
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.daemon_threads = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
