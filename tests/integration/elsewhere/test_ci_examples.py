"""The examples for CI servers: their commands are taken out of the files and run; their keys are those documented.

Not run: the servers themselves, installing from the lock, and the comment on the pull request.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.settings import ROOT
from tests.integration.elsewhere.conftest import Logged

DOCS = ROOT / "docs" / "ci"
WORKFLOW = {"name", "on", "permissions", "concurrency", "jobs", "env", "defaults"}
JOB = {"runs-on", "timeout-minutes", "env", "steps", "needs", "if", "strategy", "permissions"}
STEP = {"name", "uses", "with", "run", "if", "env", "id", "working-directory", "shell"}
GITLAB = {
    "stage", "image", "timeout", "variables", "rules", "before_script", "script", "after_script", "artifacts",
    "allow_failure",
}  # fmt: skip


class Loader(yaml.SafeLoader):
    """YAML as GitHub reads it: `on` is a word, not true."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in known if tag != "tag:yaml.org,2002:bool"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def github() -> dict[str, Any]:
    return yaml.load((DOCS / "github-actions.yml").read_text(), Loader)


def gitlab() -> dict[str, Any]:
    return yaml.safe_load((DOCS / "gitlab-ci.yml").read_text())["governance"]


def jenkins() -> str:
    return (DOCS / "Jenkinsfile").read_text()


def github_script() -> str:
    """Return the step ``Validate``; GitHub runs it so that the first command that fails ends it."""
    step = next(step for step in github()["jobs"]["validate"]["steps"] if step.get("name") == "Validate")
    return f"set -eo pipefail\n{step['run']}"


def gitlab_script() -> str:
    return "set -eo pipefail\n" + "\n".join(gitlab()["script"])


def jenkins_script() -> str:
    """Return the ``sh`` step that validates; Groovy joins a line that ends in a backslash with the next."""
    stage = jenkins().split("stage('Validate')")[1]
    return "set -e\n" + re.search(r"script: '''(.*?)'''", stage, re.DOTALL)[1].replace("\\\n", "")


SCRIPTS = {"github": github_script, "gitlab": gitlab_script, "jenkins": jenkins_script}


@pytest.fixture
def workspace(card: Path, logged: Logged, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A checkout of the team that trains, with the governance checkout installed in it, and a job's environment."""
    binaries = tmp_path / "governance" / ".venv" / "bin"
    binaries.mkdir(parents=True)
    command = binaries / "governance"
    entry = "import sys\nfrom governance.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    command.write_text(f"#!{sys.executable}\n{entry}")
    command.chmod(0o755)
    (tmp_path / "model_uri.txt").write_text("models:/credit/1\n")
    (tmp_path / "summary.md").write_text("")
    known = {name: value for name, value in os.environ.items() if not name.startswith(("GOVERNANCE_", "MLFLOW_"))}
    return tmp_path, {
        **known,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "include"),
        "GOVERNANCE_ROOT": str(card),
        "MLFLOW_TRACKING_URI": logged.url,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "MODEL": "card",
        "MODEL_URI": "",
    }


def executed(server: str, workspace: tuple[Path, dict[str, str]], **changed: str) -> subprocess.CompletedProcess[str]:
    folder, environment = workspace
    script = SCRIPTS[server]()
    assert "governance validate" in script
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**environment, **changed},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    "server", ["github", *(pytest.param(one, marks=pytest.mark.slow) for one in ("gitlab", "jenkins"))]
)
def test_a_model_that_passes_lets_the_build_through(server: str, workspace: tuple[Path, dict[str, str]]) -> None:
    done = executed(server, workspace, MODEL_URI="models:/credit/1")
    assert done.returncode == 0, done.stderr
    assert "<testsuites" in (workspace[0] / "governance.xml").read_text()
    assert "Passes" in (workspace[0] / "governance.md").read_text()


@pytest.mark.parametrize(
    "server", ["gitlab", *(pytest.param(one, marks=pytest.mark.slow) for one in ("github", "jenkins"))]
)
def test_a_model_that_is_blocked_fails_the_build_with_its_reports(
    server: str, workspace: tuple[Path, dict[str, str]]
) -> None:
    done = executed(server, workspace, MODEL_URI="models:/credit/2")
    assert done.returncode == 2, done.stderr
    assert "<failure" in (workspace[0] / "governance.xml").read_text()
    assert "only fairness stops it" in (workspace[0] / "governance.md").read_text()
    if server == "github":
        assert (workspace[0] / "summary.md").read_text() == (workspace[0] / "governance.md").read_text()
        assert '"verdict"' in (workspace[0] / "governance.json").read_text()


@pytest.mark.parametrize("server", ["github", "gitlab"])
def test_the_file_in_the_branch_names_the_model(server: str, workspace: tuple[Path, dict[str, str]]) -> None:
    (workspace[0] / "model_uri.txt").write_text("models:/nobody/7\n")
    done = executed(server, workspace)
    assert done.returncode == 1
    assert "models:/nobody/7" in done.stderr
    assert "<error" in (workspace[0] / "governance.xml").read_text()


@pytest.mark.parametrize("server", SCRIPTS)
def test_a_name_smuggles_no_command_in(server: str, workspace: tuple[Path, dict[str, str]]) -> None:
    evil = "models:/credit/1; touch smuggled; $(touch smuggled) `touch smuggled`"
    (workspace[0] / "model_uri.txt").write_text(evil)
    done = executed(server, workspace, MODEL_URI=evil if server == "jenkins" else "")
    assert done.returncode == 1
    assert not (workspace[0] / "smuggled").exists()


# --- the files as the servers document them ------------------------------------------------------------------------


def test_the_workflow_has_the_keys_that_github_documents() -> None:
    found = github()
    assert set(found) <= WORKFLOW
    assert set(found["on"]) == {"pull_request", "workflow_dispatch"}
    (job,) = found["jobs"].values()
    assert set(job) <= JOB
    for step in job["steps"]:
        assert set(step) <= STEP
        assert ("uses" in step) != ("run" in step)


def test_no_step_of_the_workflow_pastes_what_others_wrote_into_a_script() -> None:
    for step in github()["jobs"]["validate"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_reports_are_kept_whatever_the_answer_is() -> None:
    upload = next(
        step for step in github()["jobs"]["validate"]["steps"] if step.get("uses", "").startswith("actions/upload")
    )
    assert upload["if"] == "always()"
    artifacts = gitlab()["artifacts"]
    assert artifacts["when"] == "always"
    assert artifacts["reports"] == {"junit": "governance.xml"}
    assert re.search(r"post \{\s+always \{\s+junit ", jenkins())


def test_the_job_has_the_keys_that_gitlab_documents() -> None:
    assert set(gitlab()) <= GITLAB


def test_the_commented_alternative_for_gitlab_is_valid_too() -> None:
    text = (DOCS / "gitlab-ci.yml").read_text().replace("# allow_failure", "allow_failure")
    assert yaml.safe_load(text)["governance"]["allow_failure"] == {"exit_codes": [3]}


def test_the_jenkinsfile_is_a_declarative_pipeline_whose_braces_close() -> None:
    text = re.sub(r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"|//[^\n]*", "", jenkins(), flags=re.DOTALL)
    assert text.lstrip().startswith("pipeline {")
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    for section in ("agent", "parameters", "environment", "stages", "post"):
        assert re.search(rf"^    {section}\b", text, re.MULTILINE)


@pytest.mark.parametrize("server", SCRIPTS)
def test_what_they_call_exists_here(server: str) -> None:
    text = {"github": str(github()), "gitlab": str(gitlab()), "jenkins": jenkins()}[server]
    for script in re.findall(r"governance/(stack/\S+?\.sh)", text):
        assert (ROOT / script).is_file()


def test_the_page_names_each_file_and_each_variable_of_the_commands() -> None:
    page = (DOCS / "README.md").read_text()
    for file in DOCS.iterdir():
        assert file.name == "README.md" or f"]({file.name})" in page
    source = (ROOT / "include" / "governance" / "cli.py").read_text()
    for variable in re.findall(r'envvar="(\w+)"', source):
        assert variable in page
