"""Break-glass: in an emergency, two people stand in for the signatures that are missing, for a few days.

It replaces signatures and nothing else. The verdict must let the version through (a rule that blocks gives way to a
waiver only), bytes, policy, people and code must be those of the evidence, one reject still ends it, and whoever built
the version or started its run may not take part. What the two sign is the digest of one proposal: which evidence, why,
and until which day. Where the tier's policy has no ``break_glass``, nobody can.

The permit carries the proposal with its signatures, so that its verifier needs nothing else: roles, number of people
and the longest time come from the reviewed policy beside it. When its last day is over, the permit is. The incident
that it opens waits for a review by a third person (:mod:`governance.review.incidents`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from governance import canonical
from governance.catalog import People
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import Policy
from governance.review import approvals
from governance.review.approvals import SignedDecision

FORMAT = "governance-break-glass/1"
SIGNATURE_FORMAT = "governance-break-glass-signature/1"
PURPOSE = "break_glass"
PROPOSED, SIGNED = "break_glass", "break_glass_signature"
"""Kinds of entries in the ledger."""

SHORTEST_REASON, LONGEST_REASON = 20, 1000

Json = dict[str, Any]


@dataclass(frozen=True)
class BreakGlass:
    """A proposal and who signed it, as the ledger and the permit have it.

    Attributes:
        proposal: ``format``, ``evidence``, ``model``, ``version``, ``registry_version``, ``environment``, ``policy``,
            ``people``, ``spec``, ``reason``, ``until`` (its last day), ``proposed_by``, ``proposed_at``.
        signatures: Each says ``format``, ``break_glass`` (a digest), ``model``, ``role``, ``person``, ``signed_at``.
    """

    proposal: Json
    signatures: tuple[SignedDecision, ...] = ()

    @property
    def digest(self) -> str:
        """What people sign."""
        return canonical.digest(self.proposal)

    @property
    def evidence(self) -> str:
        """Digest of the evidence that it is about."""
        return str(self.proposal["evidence"])

    @property
    def ends(self) -> datetime:
        """When its last day is over, UTC."""
        return datetime.combine(date.fromisoformat(self.proposal["until"]) + timedelta(days=1), time(), UTC)

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"proposal": self.proposal, "signatures": [one.to_dict() for one in self.signatures]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "BreakGlass":
        """Inverse of :meth:`to_dict`.

        Raises:
            TamperedError: It is something else.
        """
        try:
            proposal = dict(document["proposal"])
            datetime.fromisoformat(proposal["proposed_at"])
            date.fromisoformat(proposal["until"])
            return cls(proposal, tuple(SignedDecision.from_dict(one) for one in document["signatures"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TamperedError(f"Expected a break-glass release and its signatures, found none: {error}.") from error


def of_model(ledger: Ledger, model: str) -> list[BreakGlass]:
    """Return everything that was ever proposed for a model, oldest first."""
    answers = approvals.answers_to(ledger, SIGNED, model)
    proposed = [BreakGlass(dict(entry.data["proposal"])) for entry in ledger.find(PROPOSED, model)]
    return [BreakGlass(one.proposal, answers.get(one.digest, ())) for one in proposed]


def of_permit(permit: Mapping[str, Any]) -> BreakGlass | None:
    """Return what a permit rests on beside its decisions, or ``None`` where their quorum is complete.

    Raises:
        TamperedError: It is something else.
    """
    return BreakGlass.from_dict(permit["break_glass"]) if permit.get("break_glass") is not None else None


def fault_of(one: BreakGlass, document: Json, policy: Policy, people: People) -> str | None:
    """Say why a proposal cannot count for an evidence, whoever signed it; ``None`` where it can.

    Args:
        one: The proposal.
        document: The evidence.
        policy: The policy that the evidence names.
        people: The people that the evidence names.
    """
    allowed, said = policy.break_glass, one.proposal
    if allowed is None:
        return f"tier {policy.tier} knows no break-glass release of {policy.model}"
    if said.get("format") != FORMAT or _bound(said) != binding(document, policy, people):
        return "it is about another version, or the policy, people.yaml or model.yaml changed since"
    if not SHORTEST_REASON <= len(" ".join(str(said.get("reason", "")).split())) <= LONGEST_REASON:
        return f"it has no reason of {SHORTEST_REASON} to {LONGEST_REASON} characters"
    proposed = datetime.fromisoformat(said["proposed_at"]).astimezone(UTC).date()
    if not proposed <= date.fromisoformat(said["until"]) <= proposed + timedelta(days=allowed.longest_days):
        return f"it lasts longer than the {allowed.longest_days} days that tier {policy.tier} allows"
    return None


def binding(document: Json, policy: Policy, people: People) -> Json:
    """Return what ties a proposal to one evidence, and to the reviewed files by which it is judged."""
    model = document["model"]
    return {
        "evidence": canonical.digest(document),
        "model": model["name"],
        "version": model["version"],
        "registry_version": model["registry_version"],
        "environment": model["environment"],
        "policy": policy.digest,
        "people": people.digest,
        "spec": document["spec"]["digest"],
    }


def valid_signatures(
    one: BreakGlass, document: Json, policy: Policy, people: People, keys: PublicKeys
) -> list[SignedDecision]:
    """Return the signatures that count: genuine, over this proposal, one each of people who hold a role and may sign.

    Who touched the run is not known here: see :func:`expect_permitted`.
    """
    found: dict[str, SignedDecision] = {}
    for signature in one.signatures:
        said = signature.decision
        if (
            said.get("break_glass") != one.digest
            or said.get("model") != policy.model
            or not signature.is_genuine(keys, PURPOSE, SIGNATURE_FORMAT)
        ):
            continue
        person = people.by_id(said["person"])
        roles = policy.break_glass.roles if policy.break_glass else ()
        if person is None or said["role"] not in person.roles or said["role"] not in roles:
            continue
        if not approvals.refusals(person, document):
            found.setdefault(person.id, signature)
    return list(found.values())


def is_complete(signed: list[SignedDecision], policy: Policy) -> bool:
    """Say whether as many people signed as the policy demands."""
    return policy.break_glass is not None and len(signed) >= policy.break_glass.people


def expect_permitted(
    permit: Mapping[str, Any], document: Json, policy: Policy, people: People, keys: PublicKeys
) -> BreakGlass | None:
    """Check what a permit rests on where its quorum is not complete; ``None`` where it rests on nothing but that.

    Raises:
        TamperedError: It is no proposal at all.
        NotPermittedError: The policy allows no such thing, somebody may not have signed, or it is over.
    """
    one = of_permit(permit)
    if one is None:
        return None
    fault = fault_of(one, document, policy, people)
    if fault:
        raise NotPermittedError(f"Expected a break-glass release that counts, but {fault}.")
    signed = valid_signatures(one, document, policy, people, keys)
    if len(signed) != len(one.signatures):
        raise NotPermittedError(f"Of {len(one.signatures)} signatures under this emergency only {len(signed)} count.")
    if any(each.decision["person"] in permit["run_actors"] for each in signed):
        raise NotPermittedError("A person who started, cleared or patched the run is among those who broke the glass.")
    if not is_complete(signed, policy):
        needed = policy.break_glass.people if policy.break_glass else 0
        raise NotPermittedError(f"Expected {needed} people to release this in an emergency, found {len(signed)}.")
    issued, expires = (datetime.fromisoformat(permit[name]) for name in ("issued_at", "expires_at"))
    if issued < datetime.fromisoformat(one.proposal["proposed_at"]) or expires > one.ends:
        raise NotPermittedError(f"This permit lasts longer than the emergency, until {one.ends:%d %b %Y %H:%M} UTC.")
    return one


def sentence(one: BreakGlass, people: People) -> str:
    """Say that a version serves without all signatures: on whose word, why and until when."""
    names = " and ".join(people.name(each.decision["person"]) for each in one.signatures) or "nobody"
    until = date.fromisoformat(one.proposal["until"])
    return f"Break-glass by {names}, until {until:%d %b %Y}: {one.proposal['reason']}"


def _bound(proposal: Json) -> Json:
    names = ("evidence", "model", "version", "registry_version", "environment", "policy", "people", "spec")
    return {name: proposal.get(name) for name in names}
