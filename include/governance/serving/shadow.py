"""A scoring service for a rollback drill: the one of production, on a free port, following the alias ``drill``.

``python -m governance.serving.shadow`` prints its port and serves until its standard input ends, so that none is left
where whoever started it was killed. It has public keys and MLflow, and neither the ledger nor a private key: what it
loads and answers is told to the one who asked and recorded nowhere.
"""

import socket
import sys
import threading
from dataclasses import replace

from governance.release.registry import DRILL
from governance.serving.app import create_app
from governance.settings import load_settings


def main() -> int:
    """Serve on a free loopback port until standard input ends."""
    import uvicorn

    settings = replace(load_settings(), ledger_url=None, artifact_key=None, review_key=None)
    server = uvicorn.Server(uvicorn.Config(create_app(settings, alias=DRILL), log_level="warning", access_log=False))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(listening.getsockname()[1], flush=True)
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        server.run(sockets=[listening])
    return 0


def _end_with_input(server: object) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True  # type: ignore[attr-defined]  # uvicorn is imported where it runs


if __name__ == "__main__":
    sys.exit(main())
