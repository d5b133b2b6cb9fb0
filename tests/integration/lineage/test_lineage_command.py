"""`governance lineage`, as a person calls it."""

import json

import pytest

from governance.cli import main
from tests.integration.lineage.a_release import MANIFEST, RAW, release

pytestmark = pytest.mark.integration


@pytest.fixture
def ask(database, outbox, monkeypatch, capsys):
    """Return a function: arguments → exit code, standard output and standard error."""
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", database.dsn("auditor"))

    def ask(*arguments):
        code = main(["lineage", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


def test_the_way_of_a_model_is_told_in_every_form(ask, outbox):
    outbox.append(release())

    code, tree, _ = ask("loan")
    assert (code, "└─ evidence: ! eeeeeeee warn  (govern_loan.judge" in tree) == (0, True)
    assert "Complete: 10 links back to raw data, 2 columns traced." in tree
    assert ask("loan", "--format", "mermaid")[1].startswith("flowchart LR\n  subgraph Data\n")
    assert ask("loan", "1.0.0", "--format", "dot")[1].startswith("digraph lineage {")
    document = json.loads(ask("loan", MANIFEST[:8], "--json")[1])
    assert (document["version"], document["complete"], len(document["nodes"])) == ("1.0.0", True, 13)
    assert ask("loan", "--format", "json")[1].startswith("{\n")

    code, told, _ = ask("--uses", f"{RAW[1]}.income")
    assert (code, told) == (0, f"1 model version used {RAW[1]}.income.\nloan 1.0.0 · {MANIFEST[:16]} as income\n")
    assert ask("--uses", f"{RAW[1]}.race")[0] == 2


def test_a_missing_link_is_named_and_is_a_no(ask, outbox):
    outbox.append(release(silent="govern_loan.ingest"))

    code, tree, _ = ask("loan")
    assert (code, "No task says that it wrote loan/snapshot 55555555." in tree) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["moon"], "found no task that wrote moon/model"),
        (["loan", "9.9.9"], "found no '9.9.9'. Versions, the newest first: 1.0.0."),
        (["loan", "--format", "png"], "Expected --format to be one of tree, mermaid, dot, json"),
        (["--uses", "moon"], "found none called 'moon'"),
        (["show"], "Expected a model, or --uses DATASET[.COLUMN]"),
    ],
)
def test_what_cannot_be_answered_is_said_with_what_to_do(ask, outbox, arguments, told):
    outbox.append(release())

    code, _, error = ask(*arguments)
    assert (code, told in error) == (1, True), error
