"""Airflow's own files, and the start of the process that makes its tables, roles and logins.

Neighbour: :mod:`stack.bootstrap` is that process. It is skipped where a stamp says that Airflow's version, the
logins and the code that makes them are those of the last time.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from stack import processes
from stack.layout import Layout
from stack.logins import Login, as_documents

_HERE = Path(__file__).resolve().parent
_LOGIN_PAGES = '''"""Airflow's login pages: passwords in its database, protected forms."""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None
# One API server with logins: its own memory is enough to count them in.
RATELIMIT_STORAGE_URI = "memory://"
'''


def write_files(layout: Layout) -> None:
    """Write the files that Airflow's processes expect, and the folders that they write to."""
    for folder in (layout.airflow_home, layout.state / "mlflow" / "artifacts"):
        folder.mkdir(parents=True, exist_ok=True)
    # Airflow would write a file of its own, with secrets of its own; everything is in the environment instead.
    (layout.airflow_home / "airflow.cfg").write_text("# Configured by variables: see stack/services.py.\n")
    (layout.airflow_home / "webserver_config.py").write_text(_LOGIN_PAGES)


class Bootstrap:
    """One run of :mod:`stack.bootstrap`, begun before its database is there and finished after."""

    def __init__(self, layout: Layout, people: list[Login], environment: Mapping[str, str]) -> None:
        self.people = people
        self.stamp = layout.airflow_home / "bootstrapped"
        self.log = layout.logs / "bootstrap.log"
        self.process = None if self._is_done() else self._begin(layout, environment)

    def finish(self) -> bool:
        """Let it do its work, now that the database is there; whether it succeeded."""
        if self.process is None:
            return True
        self.process.communicate(json.dumps(as_documents(self.people)).encode())
        if self.process.returncode == 0:
            self.stamp.write_text(self._digest())
        return self.process.returncode == 0

    def _begin(self, layout: Layout, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        own = {**environment, "PYTHONPATH": f"{_HERE.parent}:{environment['PYTHONPATH']}"}
        command = [sys.executable, "-m", "stack.bootstrap"]
        return processes.start(command, own, self.log, layout.airflow_home, stdin=subprocess.PIPE)

    def _is_done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self._digest()

    def _digest(self) -> str:
        versions = [version("apache-airflow"), version("apache-airflow-providers-fab")]
        code = (_HERE / "bootstrap.py").read_text()
        return hashlib.sha256(json.dumps([as_documents(self.people), versions, code]).encode()).hexdigest()
