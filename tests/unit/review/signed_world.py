"""A small world in which people sign: files, keys, evidence, decisions and permits, all real, nothing trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance import canonical
from governance.catalog import ModelSpec, People, load_people, spec_from_bytes
from governance.code import Author, CodeState
from governance.keys import PublicKeys, Signer
from governance.policy import Policy, policy_from_bytes
from governance.records import Measurement
from governance.review import approvals, evidence, permit
from governance.review.approvals import SignedDecision
from governance.review.evidence import Facts
from governance.review.permit import Bundle

MODEL = "card"
NOW = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)

SPEC = """\
name: card
title: Card limit
purpose: Recommends a card limit to an officer.
owner: {team: Cards, person: olga}
developers: [dana]
tier: high
task: binary_classification
use: tests
data: {source: "csv:card.csv", purposes: [tests], contract: contract.json}
target: {column: good, favourable: 1, meaning: It was repaid., known_bias: Made up for a test.}
limitations: Made up for a test.
assumptions: Rows arrive complete, mostly.
protected: {sex: sex}
features: {income: Monthly income}
"""

POLICY = "model: card\nversion: 1.0.0\nextends: high\n"

TIER = """\
tier: high
version: 1.0.0
summary: A tier for tests.
approvals: {roles: {model_risk: 1, compliance: 1}, expire_after_days: 7, checklist: [I read it., I mean it.]}
permit: {valid_days: 30, when_expired: stop}
not_enough_data: stops
minimum_n: 30
uncommitted_changes: block
unknown_authors: block
alternatives: {search: false, never_with_protected_attributes: true}
rules:
  accuracy: {title: Accuracy, measure: performance.accuracy, at_least: 0.8, warn_below: 0.9}
  parity: {measure: fairness.demographic_parity_difference, over: attributes, at_most: 0.1}
"""

PEOPLE = """\
roles: {model_risk: Model risk, compliance: Compliance}
people:
  - {login: dana, id: p-00d1, name: Dana Developer, roles: [model_risk], emails: [dana@bank.example]}
  - {login: ada, id: p-00a1, name: Ada Author, roles: [model_risk], emails: [ada@bank.example]}
  - {login: sam, id: p-0051, name: Sam Starter, roles: [compliance], emails: [sam@bank.example]}
  - {login: cleo, id: p-00c1, name: Cleo Clearer, roles: [compliance], emails: [cleo@bank.example]}
  - {login: maria, id: p-00e1, name: Maria Alvarez, roles: [model_risk], emails: [maria@bank.example]}
  - {login: mark, id: p-00e2, name: Mark Moss, roles: [model_risk], emails: [mark@bank.example]}
  - {login: tom, id: p-00f1, name: Tom Okafor, roles: [compliance], emails: [tom@bank.example]}
  - {login: ines, id: p-00f2, name: Ines Marchetti, roles: [compliance], emails: [ines@bank.example]}
  - {login: bea, id: p-00b1, name: Bea Both, roles: [model_risk, compliance], emails: [bea@bank.example]}
  - {login: olga, id: p-0001, name: Olga Owner, roles: [], emails: [olga@bank.example]}
"""

DANA, ADA, SAM, CLEO = "p-00d1", "p-00a1", "p-0051", "p-00c1"
MARIA, MARK, TOM, INES, BEA, OLGA = "p-00e1", "p-00e2", "p-00f1", "p-00f2", "p-00b1", "p-0001"
INVOLVED = {DANA: "model_risk", ADA: "model_risk", SAM: "compliance"}

GOOD = (
    Measurement("performance.accuracy", 0.85, 1000, low=0.82, high=0.88, method="wilson"),
    Measurement("fairness.demographic_parity_difference", 0.04, 1000, {"attribute": "sex"}, method="bootstrap"),
    Measurement("provenance.uncommitted_changes", 0, 1, method="counted"),
    Measurement("provenance.unknown_authors", 0, 1, method="counted"),
)
BAD = (replace(GOOD[0], value=0.7), *GOOD[1:])

FACTS = Facts(
    version="1.0.0",
    attempt=1,
    registry_version=3,
    environment="production",
    lock={"lock": "0" * 64, "python": "3.11.7", "packages": 262},
    data={
        "source": "csv:card.csv",
        "snapshot": "1" * 64,
        "rows": 1000,
        "columns": 3,
        "contract": {"digest": "2" * 64, "expectations": 4, "failed": 0},
    },
    training={
        "parameters": {"depth": 3},
        "seed": 0,
        "threshold": 0.5,
        "evaluation": {"method": "cross_validation", "folds": 5, "repetitions": 3, "judged_on": 0},
        "attempts": 1,
    },
    artifact={
        "manifest": "3" * 64,
        "files": [{"path": "model.skops", "size": 7, "sha256": "4" * 64}],
        "trusted_types": [],
    },
    request={"reason": "A test", "bump": "minor", "parameters": {}},
    started_by=SAM,
)

CODE = CodeState("5" * 64, "6" * 40, (), (Author("ada@bank.example", ("6" * 40,)),), history=True)


@dataclass(frozen=True)
class World:
    """The files in force and the keys; everything else follows from them."""

    tier: str = TIER
    own: str = POLICY
    people_text: str = PEOPLE
    spec_text: str = SPEC
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @cached_property
    def signer(self) -> Signer:
        return Signer("review", self.key)

    @cached_property
    def keys(self) -> PublicKeys:
        return PublicKeys({"review": self.key.public_key()})

    @cached_property
    def policy(self) -> Policy:
        return policy_from_bytes(self.own.encode(), self.tier.encode())

    @cached_property
    def people(self) -> People:
        return load_people(Path("people.yaml"), self.people_text.encode())

    @cached_property
    def spec(self) -> ModelSpec:
        return spec_from_bytes(self.spec_text.encode())

    def evidence(
        self, measurements: Iterable[Measurement] = GOOD, facts: Facts = FACTS, code: CodeState = CODE
    ) -> dict[str, Any]:
        document, _ = evidence.compose(facts, self.spec, self.policy, self.people, code, measurements)
        return document

    def decision(
        self, document: Mapping[str, Any], person: str, role: str, answer: str = "approve", /, **changes: Any
    ) -> SignedDecision:
        """A decision as the desk writes it, signed; ``changes`` are made before it is signed."""
        decision = {
            "format": approvals.FORMAT,
            "evidence": canonical.digest(document),
            "model": MODEL,
            "version": document["model"]["version"],
            "registry_version": document["model"]["registry_version"],
            "environment": document["model"]["environment"],
            "policy": self.policy.digest,
            "people": self.people.digest,
            "spec": self.spec.digest,
            "role": role,
            "person": person,
            "answer": answer,
            "confirmed": list(self.policy.approvals.checklist),
            "comment": None,
            "decided_at": NOW.isoformat(),
            **changes,
        }
        return SignedDecision(decision, self.signer.sign(decision, approvals.PURPOSE))

    def approved(self, document: Mapping[str, Any]) -> list[SignedDecision]:
        return [self.decision(document, MARIA, "model_risk"), self.decision(document, TOM, "compliance")]

    def permit(
        self,
        document: Mapping[str, Any],
        decisions: Sequence[SignedDecision] | None = None,
        actors: Mapping[str, Sequence[str]] | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """A permit as a desk that checks nothing would sign it; ``changes`` are made before it is signed."""
        complete = permit.issue(
            dict(document), self.approved(document), actors or {}, self.policy, self.people, self.signer, NOW
        )["permit"]
        chosen = self.approved(document) if decisions is None else decisions
        signed = {**complete, "decisions": [one.to_dict() for one in chosen], **changes}
        return {"permit": signed, "signature": self.signer.sign(signed, permit.PURPOSE)}

    def bundle(self, document: Mapping[str, Any], issued: Mapping[str, Any] | None = None) -> Bundle:
        return Bundle(
            evidence=canonical.to_bytes(document),
            permit=canonical.to_bytes(issued or self.permit(document)),
            policy=self.own.encode(),
            tier=self.tier.encode(),
            people=self.people_text.encode(),
            spec=self.spec_text.encode(),
        )
