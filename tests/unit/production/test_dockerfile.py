"""What we rely on in the Dockerfile. hadolint, which says more, is under the GPL and not among the requirements."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from governance import code
from governance.catalog import find_spec
from governance.settings import ROOT, load_settings
from stack.container import ANSWERS
from tests.production import dockerfile
from tests.production.dockerfile import instructions


def test_every_base_is_pinned_to_a_version():
    [argument] = [each.text for each in instructions() if each.word == "ARG"]
    assert re.fullmatch(r"PYTHON=python:3\.1[123]\.\d+-slim-bookworm", argument)
    bases = [each.text.split()[0] for each in instructions() if each.word == "FROM"]
    assert set(bases) <= {"${PYTHON}", "packages"}


def test_the_process_is_not_root_and_stays_so():
    assert dockerfile.of("final", "USER") == ["50000:50000"]
    order = [each.word for each in instructions() if each.stage == "final"]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word in ("RUN", "COPY"))


def test_packages_are_those_of_the_lock_by_their_digests():
    installs = [
        line for each in instructions() if each.word == "RUN" for line in each.text.split("&&") if "pip" in line
    ]
    [locked] = [line for line in installs if "-r /requirements.txt" in line]
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(locked.split())
    [ours] = [line for line in installs if line is not locked]
    assert {"--no-deps", "--no-build-isolation"} <= set(ours.split())


def test_system_packages_leave_no_lists_behind_and_bring_nothing_along():
    for each in instructions():
        if "apt-get install" in each.text:
            assert "--no-install-recommends" in each.text
            assert each.text.count("rm -rf /var/lib/apt/lists/*") == 1


def test_history_and_git_do_not_reach_the_image():
    assert not any(".git" in line or line.startswith(".") for line in dockerfile.of("final", "COPY"))
    assert not any("git" in line.split() for line in dockerfile.of("final", "RUN"))


def test_no_secret_is_written_into_a_layer():
    text = dockerfile.FILE.read_text().upper()
    assert not re.search(r"(PASSWORD|TOKEN|SECRET)\s*=", text)
    assert "secrets" in (ROOT / ".dockerignore").read_text().split()


def test_it_says_whether_it_works():
    [check] = dockerfile.of("final", "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[:-1] == [*dockerfile.entrypoint(), "check"]
    assert command[-1] in ANSWERS


def test_instructions_are_read_over_several_lines():
    text = "FROM a AS b\n# no\nRUN one \\\n    && two\nFROM c\nUSER x\n"
    assert [(each.stage, each.word, each.text) for each in instructions(text)] == [
        ("b", "FROM", "a AS b"),
        ("b", "RUN", "one && two"),
        ("final", "FROM", "c"),
        ("final", "USER", "x"),
    ]


class TestImage:
    """The files of the image, laid out from a clone as the Dockerfile says."""

    @pytest.fixture(scope="class")
    def image(self, tmp_path_factory) -> Path:
        clone = tmp_path_factory.mktemp("clone") / "source"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        return dockerfile.build(clone, clone.parent / "image")

    def test_it_knows_the_authors_of_what_is_in_force_without_any_history(self, image):
        settings = load_settings({"GOVERNANCE_ROOT": str(image), "GOVERNANCE_STATE": str(image / ".state")})
        state = code.code_state(settings, find_spec(settings, "loan"))

        assert not (image / ".git").exists()
        assert state.history, "the digest of the image's files is the one that was written when it was built"
        assert state.authors
        assert state.uncommitted == ()
        assert state.commit

    def test_a_file_that_was_changed_in_it_voids_what_it_knows(self, image):
        settings = load_settings({"GOVERNANCE_ROOT": str(image), "GOVERNANCE_STATE": str(image / ".state")})
        file = image / "include" / "models" / "loan" / "policy.yaml"
        kept = file.read_bytes()
        file.write_bytes(kept + b"# changed\n")
        try:
            assert not code.code_state(settings, find_spec(settings, "loan")).history
        finally:
            file.write_bytes(kept)
