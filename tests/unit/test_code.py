"""Which code decides, and who wrote it: asked of real git repositories."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from governance import code
from governance.catalog import ModelSpec, People, find_spec, people_of
from governance.code import (
    CodeState,
    code_digest,
    code_state,
    emails_to_add,
    lock_digest,
    locked_packages,
    provenance,
)
from governance.settings import ROOT, Settings, load_settings

LUIS, EVE = "luis@bank.example", "eve@elsewhere.example"


@dataclass(frozen=True)
class Checkout:
    """A small checkout: the loan folder, policies, people, some code, a lock."""

    root: Path

    @property
    def settings(self) -> Settings:
        return load_settings({"GOVERNANCE_ROOT": str(self.root)})

    @property
    def spec(self) -> ModelSpec:
        return find_spec(self.settings, "loan")

    @property
    def people(self) -> People:
        return people_of(self.settings)

    def state(self, since: str | None = None) -> CodeState:
        return code_state(self.settings, self.spec, since)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@x.example", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str = "changed\n") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    def commit(self, email: str, *names: str) -> str:
        for name in names:
            self.write(name, "# changed\n")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Change", f"--author=A <{email}>")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include" / "models" / "loan", include / "models" / "loan")
    shutil.copytree(ROOT / "include" / "policies", include / "policies")
    shutil.copy(ROOT / "include" / "people.yaml", include / "people.yaml")
    made = Checkout(tmp_path)
    for name in ("include/governance/core.py", "dags/dag.py", "plugins/plugin.py", "README.md"):
        made.write(name)
    made.write("requirements.txt", "# lock\nnumpy==1.0 \\\n    --hash=sha256:0\npandas==2.3.3\n")
    made.git("init", "-q")
    made.commit(LUIS)
    return made


MATTERS = [
    "include/models/loan/train.py",
    "include/models/loan/contract.json",
    "include/models/loan/policy.yaml",
    "include/models/loan/new_file.txt",
    "include/policies/high.yaml",
    "include/people.yaml",
    "include/governance/core.py",
    "dags/dag.py",
    "plugins/plugin.py",
    "requirements.txt",
]
UNRELATED = ["README.md", "docs/page.md", "include/models/other/train.py", "include/governance/__pycache__/core.pyc"]


class TestDigest:
    @pytest.mark.parametrize("name", MATTERS)
    def test_any_change_to_what_matters_changes_the_digest(self, checkout: Checkout, name: str) -> None:
        before = code_digest(checkout.settings, checkout.spec)

        checkout.write(name, "\n# changed\n" if name.endswith("yaml") else "changed\n")

        assert code_digest(checkout.settings, checkout.spec) != before

    @pytest.mark.parametrize("name", UNRELATED)
    def test_an_unrelated_change_voids_nothing(self, checkout: Checkout, name: str) -> None:
        before = code_digest(checkout.settings, checkout.spec)

        checkout.write(name)

        assert code_digest(checkout.settings, checkout.spec) == before

    def test_moving_a_file_is_a_change(self, checkout: Checkout) -> None:
        before = code_digest(checkout.settings, checkout.spec)

        (checkout.root / "dags" / "dag.py").rename(checkout.root / "dags" / "other.py")

        assert code_digest(checkout.settings, checkout.spec) != before

    def test_the_same_files_elsewhere_have_the_same_digest(self, checkout: Checkout, tmp_path: Path) -> None:
        copy = Checkout(tmp_path / "copy")
        shutil.copytree(checkout.root, copy.root, ignore=lambda folder, names: ["copy"] if "copy" in names else [])

        assert code_digest(copy.settings, copy.spec) == code_digest(checkout.settings, checkout.spec)

    def test_the_lock_is_known_by_its_digest_and_the_packages_it_pins(self, checkout: Checkout) -> None:
        before = lock_digest(checkout.settings)
        assert locked_packages(checkout.settings) == 2

        checkout.write("requirements.txt", "scipy==1.0\n")

        assert lock_digest(checkout.settings) != before
        assert locked_packages(checkout.settings) == 3


class TestState:
    def test_a_clean_checkout_is_at_its_commit_with_nothing_uncommitted(self, checkout: Checkout) -> None:
        state = checkout.state()

        assert (state.commit, state.uncommitted, state.history) == (checkout.git("rev-parse", "HEAD"), (), True)

    @pytest.mark.parametrize("name", [name for name in MATTERS if "people" not in name])
    def test_what_matters_and_is_not_committed_is_named(self, checkout: Checkout, name: str) -> None:
        checkout.write(name, "\n# changed\n" if name.endswith("yaml") else "changed\n")

        assert checkout.state().uncommitted == (name,)

    @pytest.mark.parametrize("name", ["README.md", "docs/page.md"])
    def test_what_does_not_matter_may_be_uncommitted(self, checkout: Checkout, name: str) -> None:
        checkout.write(name)

        assert checkout.state().uncommitted == ()


class TestAuthors:
    def test_without_a_champion_all_history_of_folder_policies_and_people_counts(self, checkout: Checkout) -> None:
        first = checkout.git("rev-parse", "HEAD")
        second = checkout.commit(EVE, "include/models/loan/train.py")

        assert {a.email: a.commits for a in checkout.state().authors} == {EVE: (second,), LUIS: (first,)}

    def test_since_the_champion_only_later_commits_count(self, checkout: Checkout) -> None:
        champion = checkout.git("rev-parse", "HEAD")
        checkout.commit(EVE, "include/policies/high.yaml")

        assert [author.email for author in checkout.state(champion).authors] == [EVE]

    @pytest.mark.parametrize("name", ["README.md", "include/governance/core.py", "include/models/other/train.py"])
    def test_a_commit_elsewhere_makes_nobody_an_author_of_this_model(self, checkout: Checkout, name: str) -> None:
        champion = checkout.git("rev-parse", "HEAD")
        checkout.commit(EVE, name)

        assert checkout.state(champion).authors == ()

    def test_a_champion_that_is_no_ancestor_hides_nobody(self, checkout: Checkout) -> None:
        checkout.git("checkout", "-q", "-b", "side")
        side = checkout.commit(EVE, "include/models/loan/train.py")
        checkout.git("checkout", "-q", "-")

        assert [author.email for author in checkout.state(side).authors] == [LUIS]
        assert [author.email for author in checkout.state("0" * 40).authors] == [LUIS]

    def test_e_mails_differ_in_case_only_once(self, checkout: Checkout) -> None:
        checkout.commit(LUIS.upper(), "include/people.yaml")

        assert [author.email for author in checkout.state().authors] == [LUIS]

    def test_an_author_whose_change_came_by_a_merge_counts(self, checkout: Checkout) -> None:
        champion = checkout.git("rev-parse", "HEAD")
        checkout.git("checkout", "-q", "-b", "side")
        checkout.commit(EVE, "include/models/loan/train.py")
        checkout.git("checkout", "-q", "-")
        checkout.commit(LUIS, "README.md")
        checkout.git("merge", "-q", "--no-ff", "-m", "Merge", "side")

        assert EVE in [author.email for author in checkout.state(champion).authors]


class TestProvenance:
    def values(self, checkout: Checkout) -> dict[str, float | None]:
        return {one.name: one.value for one in provenance(checkout.state(), checkout.people)}

    def test_known_authors_and_a_clean_tree_measure_zero(self, checkout: Checkout) -> None:
        assert self.values(checkout) == {"provenance.uncommitted_changes": 0, "provenance.unknown_authors": 0}

    def test_a_stranger_is_counted_and_named(self, checkout: Checkout) -> None:
        checkout.commit(EVE, "include/models/loan/train.py")

        assert self.values(checkout)["provenance.unknown_authors"] == 1
        assert emails_to_add(checkout.state(), checkout.people) == [EVE]

    def test_uncommitted_files_are_counted(self, checkout: Checkout) -> None:
        checkout.write("dags/dag.py")
        checkout.write("dags/other.py")

        assert self.values(checkout)["provenance.uncommitted_changes"] == 2

    def test_a_shallow_history_is_no_history(self, checkout: Checkout, tmp_path: Path) -> None:
        checkout.commit(LUIS, "include/models/loan/train.py")
        shallow = Checkout(tmp_path / "shallow")
        subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{checkout.root}", str(shallow.root)], check=True)

        (authors,) = [one for one in provenance(shallow.state(), shallow.people) if one.name.endswith("authors")]

        assert (authors.value, authors.reason) == (None, "the history of the checkout is missing")


class TestWithoutGit:
    """An image: no history, but the authorship that was written when it was built."""

    @pytest.fixture
    def image(self, checkout: Checkout, tmp_path: Path) -> Checkout:
        checkout.commit(EVE, "include/models/loan/train.py")
        ignored = shutil.ignore_patterns(".git", "image")
        image = Checkout(tmp_path / "image")
        shutil.copytree(checkout.root, image.root, ignore=ignored)
        return image

    def authorship(self, checkout: Checkout) -> str:
        environment = {
            "GOVERNANCE_ROOT": str(checkout.root),
            "PYTHONPATH": str(ROOT / "include"),
            "PATH": "/usr/bin:/bin",
        }
        command = [sys.executable, "-m", "governance.code"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    @pytest.fixture(autouse=True)
    def no_repository_above(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    def test_the_authorship_of_the_build_answers_for_the_history(self, checkout: Checkout, image: Checkout) -> None:
        (image.root / code.AUTHORSHIP).write_text(self.authorship(checkout))

        state = image.state()

        assert (state.commit, state.history) == (checkout.git("rev-parse", "HEAD"), True)
        assert sorted(author.email for author in state.authors) == [EVE, LUIS]

    def test_what_was_not_committed_when_the_image_was_built_is_still_named(
        self, checkout: Checkout, image: Checkout
    ) -> None:
        for place in (checkout, image):
            place.write("dags/dag.py", "# at the build\n")
        (image.root / code.AUTHORSHIP).write_text(self.authorship(checkout))

        state = image.state()

        assert (state.history, state.uncommitted) == (True, ("dags/dag.py",))

    def test_files_that_changed_since_the_build_are_not_vouched_for(self, checkout: Checkout, image: Checkout) -> None:
        (image.root / code.AUTHORSHIP).write_text(self.authorship(checkout))
        image.write("include/models/loan/train.py")

        assert image.state().history is False

    @pytest.mark.parametrize("written", [None, "", "{", json.dumps([]), json.dumps({"commit": "x"})])
    def test_no_authorship_that_can_be_read_is_no_history(self, image: Checkout, written: str | None) -> None:
        if written is not None:
            (image.root / code.AUTHORSHIP).write_text(written)

        state = image.state()

        assert (state.commit, state.authors, state.history) == (None, (), False)
