"""The one real system that the end-to-end and the browser tests share.

It runs from a committed copy of the work tree, for uncommitted changes block a release, and with two more models: the
small ones of ``tests/e2e/models``.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx._transports.default
import pytest
from hypothesis import settings
from system import GovernedRun, Slack, World, commit_all

from governance.settings import ROOT
from stack.supervisor import Stack

# How long an example takes never decides a test. `make test-all` says --hypothesis-profile=thorough.
settings.register_profile("everyday", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile("everyday")

# Every call that has no client of its own reads all certificates again, which takes longer than asking a local server.
httpx._transports.default.create_ssl_context = functools.cache(httpx.create_ssl_context)

# MLflow asks before each call whether it is in Databricks or Spark, by imports; these look through all of the path.
for absent in ("dbruntime", "IPython", "pyspark"):
    sys.modules.setdefault(absent, None)  # type: ignore[arg-type]  # what Python takes for "there is none"

MODELS = ROOT / "tests" / "e2e" / "models"


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed copy of the work tree, with the small models in it."""
    root = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    for folder in MODELS.iterdir():
        shutil.copytree(folder, root / "include" / "models" / folder.name)
    _twin(root / "include" / "models", "quick", "steady")
    _twin(root / "include" / "models", "quick", "routine", medium="low")
    shutil.copy2(ROOT / "tests" / "e2e" / "forge_login.py", root / "dags" / "forge_login.py")
    commit_all(root)
    return root


def _twin(models: Path, name: str, twin: str, **words: str) -> None:
    """Add a model that is like another but for its name, and other words: what a test stops must be nobody else's."""
    shutil.copytree(models / name, models / twin)
    for file in (models / twin).iterdir():
        text = file.read_text()
        for word, other in {name: twin, **words}.items():
            text = text.replace(word, other)
        file.write_text(text)


@pytest.fixture(scope="session")
def world(checkout: Path) -> Iterator[World]:
    """PostgreSQL, MLflow, Airflow and the scoring service, running from the checkout."""
    slack = Slack()
    state = Path(tempfile.mkdtemp(prefix="gov-"))
    connection = json.dumps({"conn_type": "slackwebhook", "password": slack.url})
    stack = Stack(state, checkout, extra={"AIRFLOW_CONN_GOVERNANCE_SLACK": connection}, report=lambda _: None)
    try:
        stack.up()
        yield World(stack, slack, checkout)
    finally:
        stack.stop()
        slack.close()
        if not os.environ.get("KEEP_STATE"):
            shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def runs(world: World) -> dict[str, GovernedRun]:
    """The runs that the tests follow, all triggered at once: a machine with two cores is slow to start each."""
    purposes = ("sign", "reject", "mark", "kill", "tamper", "browser")
    started = {name: world.trigger("quick", f"To {name} it") for name in purposes}
    started["expire"] = world.trigger("brief", "To let it expire")
    started["loan"] = world.trigger("loan", "First release of the mortgage model")
    return started
