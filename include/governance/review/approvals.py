"""Decisions: who may take one, what it says, and when there are enough.

A decision is one answer of one person in one role over one evidence digest, signed by the review key. What the ledger
holds is folded here into a standing; nothing else (no XCom, no task state, no table) counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.catalog import People, Person
from governance.errors import TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import Policy

FORMAT = "governance-decision/1"
PURPOSE = "decision"
KEY = "review"

Json = dict[str, Any]


@dataclass(frozen=True)
class SignedDecision:
    """A decision as the ledger and the permit hold it.

    Attributes:
        decision: ``evidence``, ``model``, ``version``, ``role``, ``person``, ``answer``, ``confirmed``, ``comment``
            (a commitment), ``policy``, ``people``, ``environment``, ``decided_at``.
        signature: Over the canonical decision, by the review key.
    """

    decision: Json
    signature: str

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"decision": self.decision, "signature": self.signature}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "SignedDecision":
        """Inverse of :meth:`to_dict`."""
        return cls(dict(document["decision"]), str(document["signature"]))

    def is_genuine(self, keys: PublicKeys, purpose: str, format: str) -> bool:
        """Say whether the review key signed it, for this purpose and in this format."""
        try:
            keys.verify(self.decision, self.signature, purpose, KEY)
        except TamperedError:
            return False
        return self.decision.get("format") == format


@dataclass(frozen=True)
class Refusal:
    """Why a person may not sign.

    Attributes:
        rule: ``developer``, ``author``, ``started``, ``cleared``, ``patched``, ``signed``, ``role``, ``unknown``.
        sentence: The rule and the fact it rests on.
        detail: Where that fact can be read.
    """

    rule: str
    sentence: str
    detail: str


def refusals(person: Person, evidence: Json, run_actors: Mapping[str, Sequence[str]] | None = None) -> list[Refusal]:
    """Say why this person may not sign this evidence; an empty list means nothing forbids it.

    Args:
        person: Who asks.
        evidence: What would be signed.
        run_actors: Pseudonymous id → what that person did to the run (``started``, ``cleared``, ``patched``).
    """
    involved, name = evidence["involved"], evidence["model"]["name"]
    found = []
    if person.id in involved["developers"]:
        sentence = "You trained this model: you may not sign it."
        found.append(Refusal("developer", sentence, f"You are a developer in models/{name}/model.yaml."))
    for author in involved["authors"]:
        if author.get("person") == person.id:
            sentence = "You changed this model's folder, policy or roles: you may not sign it."
            count = len(author["commits"])
            detail = f"You wrote {'commit ' + author['commits'][0][:7] if count == 1 else f'{count} commits'}."
            found.append(Refusal("author", sentence, detail))
    done = [*(["started"] if involved["started_by"] == person.id else []), *(run_actors or {}).get(person.id, ())]
    for what in dict.fromkeys(done):
        found.append(Refusal(what, f"You {what} this run: you may not sign it.", "Airflow's log of the run says so."))
    return found


def valid_decisions(
    signed: Iterable[SignedDecision],
    evidence_digest: str,
    evidence: Json,
    policy: Policy,
    people: People,
    keys: PublicKeys,
) -> list[SignedDecision]:
    """Return the decisions that count for this evidence: genuine, by people who hold the role and may sign.

    A later decision of the same person does not count; a signature that does not verify is not a decision at all.
    """
    seen: set[str] = set()
    result = []
    for one in signed:
        decision = one.decision
        if (
            decision.get("evidence") != evidence_digest
            or not one.is_genuine(keys, PURPOSE, FORMAT)
            or decision["person"] in seen
        ):
            continue
        person = people.by_id(decision["person"])
        bound = (decision["policy"], decision["people"], decision["spec"]) == (
            policy.digest,
            people.digest,
            evidence["spec"]["digest"],
        )
        if person and bound and decision["role"] in person.roles and not refusals(person, evidence):
            seen.add(person.id)
            result.append(one)
    return result


def status_of(decisions: Sequence[SignedDecision], policy: Policy) -> str:
    """Return ``denied`` after one reject, ``approved`` with the quorum of every role, else ``pending``."""
    if any(one.decision["answer"] == "reject" for one in decisions):
        return "denied"
    return "approved" if not missing_roles(decisions, policy) else "pending"


def missing_roles(decisions: Sequence[SignedDecision], policy: Policy) -> dict[str, int]:
    """Return how many signatures each role still lacks."""
    given = [one.decision["role"] for one in decisions if one.decision["answer"] == "approve"]
    lacking = {role: needed - given.count(role) for role, needed in policy.approvals.roles.items()}
    return {role: count for role, count in lacking.items() if count > 0}


def answers_to(ledger: Ledger, kind: str, model: str) -> dict[str, tuple[SignedDecision, ...]]:
    """Return what people answered to proposals about a model, in the order of the ledger, by the proposal's digest.

    Args:
        ledger: Where they are.
        kind: Kind of the entries; the answer names its proposal in the field that is called like the proposal's kind.
        model: The model's name.
    """
    found: dict[str, list[SignedDecision]] = {}
    for entry in ledger.find(kind, model):
        one = SignedDecision.from_dict(entry.data)
        found.setdefault(str(one.decision.get(kind.removesuffix("_signature"))), []).append(one)
    return {digest: tuple(answers) for digest, answers in found.items()}
