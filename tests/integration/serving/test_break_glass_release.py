"""A release on a break-glass permit: it serves, everything says why, and it is over when its last day is."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from governance import canonical, cli
from governance.errors import NotPermittedError
from governance.ledger.log import Entry
from governance.release import rollback
from governance.release.verify import candidate_to_release
from governance.review import break_glass, incidents, permit
from governance.review.approvals import SignedDecision
from governance.review.break_glass import BreakGlass
from governance.serving.app import create_app
from tests.integration.serving.services_under_test import wait_until
from tests.integration.serving.test_rollback import released, serves
from tests.unit.release.permitted_world import MARIA, MODEL, SAM, SIGNERS, TOM

REASON = "The champion denies everybody, and the second signature cannot be waited for."


def broken(house, evidence: Entry, days: int = 2) -> Entry:
    """Record a break-glass permit over an evidence, with nobody's ordinary decision, as the desk does."""
    world, document, now = house.world, evidence.data["evidence"], datetime.now(UTC)
    proposal = {
        "format": break_glass.FORMAT,
        **break_glass.binding(document, world.policy, world.people),
        "reason": REASON,
        "until": (now.date() + timedelta(days=days)).isoformat(),
        "proposed_by": MARIA,
        "proposed_at": now.isoformat(),
    }
    signed = []
    for person, role in SIGNERS:
        said = {
            "format": break_glass.SIGNATURE_FORMAT,
            "break_glass": canonical.digest(proposal),
            "model": MODEL,
            "role": role,
            "person": person,
            "signed_at": now.isoformat(),
        }
        signed.append(SignedDecision(said, world.signer("review").sign(said, break_glass.PURPOSE)))
    one, review = BreakGlass(proposal, tuple(signed)), house.ledger("review")
    review.append(
        break_glass.PROPOSED, MODEL, {"proposal": proposal}, actor=MARIA, key=f"{break_glass.PROPOSED}:{one.digest}"
    )
    for each in signed:
        person = each.decision["person"]
        key = f"{break_glass.SIGNED}:{one.digest}:{person}"
        review.append(break_glass.SIGNED, MODEL, each.to_dict(), actor=person, key=key)
    arguments = (document, [], {SAM: ["started"]}, world.policy, world.people, world.signer("review"), now, one)
    entry = review.append("permit", MODEL, permit.issue(*arguments), actor=TOM, key=f"permit:{evidence.data['digest']}")
    incidents.open_break_glass(review, entry)
    return entry


@pytest.fixture
def emergency(house, scoring) -> Entry:
    """A version that was signed, then one that two people released in an emergency; its evidence."""
    released(house, 0)
    evidence = house.candidate("run-1", seed=1, version="1.1.0")
    broken(house, evidence)
    assert not house.release("run-1").reverted
    return evidence


def test_it_serves_and_the_command_line_says_on_whose_word_and_until_when(house, emergency, monkeypatch, capsys):
    def governance(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = cli.main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    more = {"GOVERNANCE_ROOT": str(house.world.root), "GOVERNANCE_LEDGER_URL": house.database.dsn("auditor")}
    for name, value in {**more, **house.world.more}.items():
        monkeypatch.setenv(name, value)

    assert serves(house) == emergency.data["digest"]
    code, said = governance("permit", MODEL)
    assert (code, said["permitted"], said["decisions"]) == (0, True, [])
    assert said["break_glass"]["proposal"]["reason"] == REASON
    code, said = governance("live", MODEL)
    assert said["live"]["signatures"] == []
    assert said["live"]["break_glass"]["names"] == ["Maria Alvarez", "Tom Okafor"]
    capsys.readouterr()
    assert cli.main(["permit", MODEL]) == cli.main(["live", MODEL]) == 0
    out = capsys.readouterr().out
    assert out.count(f"Break-glass by Maria Alvarez and Tom Okafor, until {until(house):%d %b %Y}: {REASON}") == 2
    assert re.search(r"approved by +nobody", out)


def until(house) -> datetime:
    (_, entry) = house.entries("permit")
    return BreakGlass.from_dict(entry.data["permit"]["break_glass"]).ends - timedelta(days=1)


def test_when_its_last_day_is_over_it_serves_no_more_and_is_loaded_by_nobody(house, emergency, serve):
    later = datetime.now(UTC) + timedelta(days=3)
    after = serve(create_app(house.serving_settings(), clock=lambda: later))

    state = wait_until(lambda: (said := httpx.get(f"{after.url}/models/{MODEL}").json()).get("refused") and said)

    assert "The permit of tiny 1.1.0 ended on" in state["refused"]["reason"]


@pytest.mark.slow
def test_no_second_release_rests_on_it_after_its_end(house, emergency):
    later = datetime.now(UTC) + timedelta(days=3)

    with pytest.raises(NotPermittedError, match=r"The permit of tiny 1\.1\.0 ended on"):
        candidate_to_release(house.world.settings, house.ledger(), MODEL, emergency.data["digest"], later)
    released(house, 2)
    assert [one.version for one in rollback.targets(house.world.settings, house.ledger(), MODEL, later)] == ["1.0.0"]


def test_a_reject_in_the_ledger_stops_it_although_the_permit_is_there(house, scoring):
    evidence = house.candidate("run-1", seed=1, version="1.1.0")
    reject = house.world.decide(evidence.data["evidence"], TOM, "compliance", "reject").to_dict()
    house.ledger("review").append("decision", MODEL, reject, actor=TOM, key=f"decision:{evidence.data['digest']}:{TOM}")
    broken(house, evidence)

    with pytest.raises(NotPermittedError, match="Expected no reject"):
        house.release("run-1")
    assert serves(house) is None


def test_the_pipeline_cannot_write_what_the_two_sign(house, unserved):
    from governance.errors import GovernanceError

    for kind in (break_glass.PROPOSED, break_glass.SIGNED):
        with pytest.raises(GovernanceError, match="may write"):
            house.ledger("pipeline").append(kind, MODEL, {}, actor=SAM, key=f"{kind}:1")
