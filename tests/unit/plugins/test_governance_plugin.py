"""The registration card: light enough for every task process, and the link that people share."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from governance.settings import ROOT

PLUGINS = ROOT / "plugins"


def test_registering_imports_neither_the_application_nor_the_desk(tmp_path: Path):
    program = (
        "import sys, governance_plugin\n"
        "late = [name for name in sys.modules if name.startswith(('governance_airflow', 'governance.'))]\n"
        "print(late, governance_plugin.GovernancePlugin.fastapi_apps[0]['url_prefix'])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{PLUGINS}:{ROOT / 'include'}", "AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip().endswith("[] /governance")


def test_airflow_runs_the_registration_card_and_no_other_file_of_ours():
    from airflow._shared.module_loading import find_path_from_directory

    found = {
        Path(path).name
        for path in find_path_from_directory(str(PLUGINS), ".airflowignore", "glob")
        if path.endswith(".py")
    }

    assert found == {"governance_plugin.py"}


def test_airflow_finds_the_page_in_its_navigation():
    from governance_plugin import GovernancePlugin

    view = GovernancePlugin.external_views[0]

    assert (view["destination"], view["nav_top_level"], view["url_route"]) == ("nav", True, "governance")
    assert view["icon"] != view["icon_dark_mode"]


@pytest.mark.parametrize(
    ("asked", "sent_to"),
    [
        ("/review/loan/1.0.0", "/governance/review/loan/1.0.0"),
        ("/waivers/loan?rule=parity", "/governance/waivers/loan?rule=parity"),
        ("/review/loan/1.0.0?attempt=1", "/governance/review/loan/1.0.0?attempt=1"),
        ("/monitoring/", "/governance/monitoring"),
        ("/lineage/loan?version=1.0.0", "/governance/lineage/loan?version=1.0.0"),
        ("/monitoring/loan/160?last=30", "/governance/monitoring/loan/160?last=30"),
        ("/review//evil.test/x", "/governance/review//evil.test/x"),
        ("/review/loan/%C3%A9", "/governance/review/loan/%C3%A9"),
    ],
)
def test_a_shared_link_is_sent_on_to_the_page(as_login, asked, sent_to):
    answer = as_login(None).get(asked)

    assert answer.status_code == 307
    assert answer.headers["location"] == sent_to


def test_a_shared_link_with_a_line_break_leads_nowhere(as_login):
    assert as_login(None).get("/review/loan/1%0d%0aSet-Cookie:x").status_code == 404


@pytest.mark.parametrize(
    ("root", "path", "sent_to"),
    [
        ("", "/monitoring", "/governance/monitoring"),
        ("/airflow", "/airflow/monitoring", "/airflow/governance/monitoring"),
        ("", "/lineage", "/governance/lineage"),
        ("", "/monitoringx", None),
        ("", "/governance/monitoring", None),
    ],
)
def test_a_link_to_all_models_needs_no_slash_at_its_end(root, path, sent_to):
    """What Airflow mounts at a place does not match the place itself."""
    from governance_plugin import linked

    said, asked = [], []

    async def airflow(*_):
        asked.append(path)

    async def send(message):
        said.append(message)

    scope = {"type": "http", "path": path, "root_path": root, "query_string": b""}
    asyncio.run(linked(airflow)(scope, None, send))

    assert [dict(one["headers"])[b"location"].decode() for one in said[:1]] == ([sent_to] if sent_to else [])
    assert asked == ([] if sent_to else [path])
