"""Waivers: a signed exception from one rule for one model, with its reason and its last day.

What people sign is the digest of the proposal: model, rule, what the rule demands, why and until when. The same roles
sign as approve a release, as many, each another person, none of them a developer or an author of what is released, nor
the one who proposed it. One reject ends it, at any time. Evidence carries the waivers that its verdict rests on whole,
with their signatures, so that a permit's verifier needs nothing else.

Not covered here: whether a reject reached the ledger after the evidence was written; the desk and the release ask
(:func:`ended_since`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from governance import canonical
from governance.catalog import People
from governance.errors import TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import Policy
from governance.records import Waiver
from governance.review import approvals
from governance.review.approvals import SignedDecision

FORMAT = "governance-waiver/1"
SIGNATURE_FORMAT = "governance-waiver-signature/1"
PURPOSE = "waiver"
PROPOSED, SIGNED = "waiver", "waiver_signature"
"""Kinds of entries in the ledger."""

Json = dict[str, Any]


@dataclass(frozen=True)
class SignedWaiver:
    """A proposal and what people answered, as the ledger has it.

    Attributes:
        waiver: ``format``, ``model``, ``rule``, ``slice`` (or nothing, for all results of the rule), ``demands``,
            ``reason``, ``until``, ``proposed_by``, ``proposed_at``.
        signatures: In the order of the ledger: each says ``waiver`` (a digest), ``model``, ``role``, ``person``,
            ``answer``, ``signed_at``.
    """

    waiver: Json
    signatures: tuple[SignedDecision, ...] = ()

    @property
    def digest(self) -> str:
        """What people sign."""
        return canonical.digest(self.waiver)

    @property
    def until(self) -> date:
        """Its last day."""
        return date.fromisoformat(self.waiver["until"])

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"waiver": self.waiver, "signatures": [one.to_dict() for one in self.signatures]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "SignedWaiver":
        """Inverse of :meth:`to_dict`."""
        return cls(dict(document["waiver"]), tuple(SignedDecision.from_dict(one) for one in document["signatures"]))


@dataclass(frozen=True)
class Involved:
    """Who may not sign: pseudonymous ids of the developers, and of the authors of what would be released."""

    developers: frozenset[str]
    authors: frozenset[str]

    @classmethod
    def of(cls, involved: Mapping[str, Any]) -> "Involved":
        """Return those that evidence names."""
        authors = {author["person"] for author in involved["authors"] if "person" in author}
        return cls(frozenset(involved["developers"]), frozenset(authors))


def of_model(ledger: Ledger, model: str) -> list[SignedWaiver]:
    """Return every waiver that was ever proposed for a model, oldest first."""
    answers = approvals.answers_to(ledger, SIGNED, model)
    proposed = [SignedWaiver(dict(entry.data["waiver"])) for entry in ledger.find(PROPOSED, model)]
    return [SignedWaiver(one.waiver, answers.get(one.digest, ())) for one in proposed]


def in_force(
    proposed: Iterable[SignedWaiver],
    involved: Involved,
    policy: Policy,
    people: People,
    keys: PublicKeys,
    at: datetime,
) -> list[Waiver]:
    """Return the waivers that count at a moment: right, complete, by those who may, and not over."""
    found = []
    for one in proposed:
        if fault_of(one, policy) or status_of(one, involved, policy, people, keys, at) != "in force":
            continue
        signed = valid_signatures(one, involved, policy, people, keys)
        found.append(_waiver(one, signed))
    return found


def status_of(
    one: SignedWaiver, involved: Involved, policy: Policy, people: People, keys: PublicKeys, at: datetime
) -> str:
    """Return ``in force``, ``open`` (signatures are missing), ``rejected`` or ``ended``."""
    signed = valid_signatures(one, involved, policy, people, keys)
    status = approvals.status_of(signed, policy)
    if status == "denied":
        return "rejected"
    if at >= _waiver(one, signed).ends:
        return "ended"
    return "in force" if status == "approved" else "open"


def fault_of(one: SignedWaiver, policy: Policy) -> str | None:
    """Say why a waiver cannot count under a policy, whoever signed it; ``None`` where it can."""
    waiver = one.waiver
    rule = policy.rule(waiver["rule"])
    if waiver.get("format") != FORMAT or waiver["model"] != policy.model:
        return f"it is of {waiver['model']}"
    if rule is None:
        return f"the policy has no rule {waiver['rule']}"
    if policy.waivers is None or not policy.may_be_waived(rule):
        return f"tier {policy.tier} lets no waiver lift the rule {rule.id}"
    if waiver["demands"] != rule.demands:
        return f"the rule {rule.id} demands something else now than when it was proposed"
    proposed = datetime.fromisoformat(waiver["proposed_at"]).date()
    if one.until > proposed + timedelta(days=policy.waivers.longest_days):
        return f"it lasts longer than the {policy.waivers.longest_days} days that tier {policy.tier} allows"
    return None


def valid_signatures(
    one: SignedWaiver, involved: Involved, policy: Policy, people: People, keys: PublicKeys
) -> list[SignedDecision]:
    """Return the answers that count: genuine, over this waiver, by people who hold the role and may sign.

    A person answers once; only a reject may follow, which takes back what was signed.
    """
    found: dict[str, SignedDecision] = {}
    for answer in one.signatures:
        said = answer.decision
        if (
            said.get("waiver") != one.digest
            or said.get("model") != one.waiver["model"]
            or not answer.is_genuine(keys, PURPOSE, SIGNATURE_FORMAT)
        ):
            continue
        person = people.by_id(said["person"])
        barred = involved.developers | involved.authors | {one.waiver["proposed_by"]}
        if person is None or person.id in barred or said["role"] not in person.roles:
            continue
        if said["role"] in policy.approvals.roles and (person.id not in found or said["answer"] == "reject"):
            found[person.id] = answer
    return list(found.values())


def of_evidence(evidence: Mapping[str, Any]) -> list[SignedWaiver]:
    """Return the waivers that an evidence rests on.

    Raises:
        TamperedError: What is listed is no waiver.
    """
    try:
        found = [SignedWaiver.from_dict(one) for one in evidence["waivers"]]
        for one in found:
            _waiver(one, ())
            datetime.fromisoformat(one.waiver["proposed_at"])
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise TamperedError(f"Expected waivers in the evidence, found something else: {error}.") from error


def first_end(evidence: Mapping[str, Any]) -> datetime | None:
    """Return when the first waiver ends that an evidence rests on."""
    return min((_waiver(one, ()).ends for one in of_evidence(evidence)), default=None)


def ended_since(
    ledger: Ledger, evidence: Mapping[str, Any], policy: Policy, people: People, keys: PublicKeys, at: datetime
) -> str | None:
    """Say which waiver that an evidence rests on counts no more, by the ledger; ``None`` where all do."""
    resting = of_evidence(evidence)
    if not resting:
        return None
    known = {one.digest: one for one in of_model(ledger, policy.model)}
    for one in resting:
        now = known.get(one.digest)
        if now is None:
            return f"the waiver of {one.waiver['rule']} is not in the ledger"
        status = status_of(now, Involved.of(evidence["involved"]), policy, people, keys, at)
        if status != "in force":
            return f"the waiver of {one.waiver['rule']} is {status}"
    return None


def _waiver(one: SignedWaiver, signed: Sequence[SignedDecision]) -> Waiver:
    return Waiver(
        digest=one.digest,
        rule=one.waiver["rule"],
        slice=one.waiver["slice"],
        demands=one.waiver["demands"],
        reason=one.waiver["reason"],
        until=one.until,
        by=tuple({"person": answer.decision["person"], "role": answer.decision["role"]} for answer in signed),
    )
