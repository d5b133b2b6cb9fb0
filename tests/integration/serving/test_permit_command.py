"""``governance permit``: is it permitted now, verified from the bytes?"""

import json
import os

import pytest

from governance import cli
from tests.unit.release.permitted_world import MODEL


@pytest.fixture
def permit(house, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command as an auditor would: exit code and document."""
    for name in [name for name in os.environ if name.startswith("GOVERNANCE_")]:
        monkeypatch.delenv(name)

    def permit(*arguments: str) -> tuple[int, dict]:
        given = {**house.world.more, "GOVERNANCE_ROOT": str(house.world.root)}
        for name, value in {**given, "GOVERNANCE_LEDGER_URL": house.database.dsn("auditor")}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = cli.main(["permit", MODEL, *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return permit


def test_nothing_is_permitted_before_anybody_signed(house, permit) -> None:
    house.candidate("run-1")

    code, document = permit("1.0.0")

    assert (code, document["permitted"], document["kind"]) == (2, False, "not permitted")
    assert permit()[0] == 2


def test_what_was_signed_is_permitted_until_a_byte_changes(house, permit) -> None:
    evidence = house.candidate("run-1")
    house.sign(evidence)

    code, document = permit("1.0.0")
    assert (code, document["permitted"], document["evidence"]) == (0, True, evidence.data["digest"])
    assert [one["decision"]["role"] for one in document["decisions"]] == ["model_risk", "compliance"]

    (path,) = house.artifacts(evidence).rglob("model.skops")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)

    code, document = permit("1.0.0")
    assert (code, document["permitted"], document["kind"]) == (2, False, "tampered")
    assert "model.skops" in document["reason"]
