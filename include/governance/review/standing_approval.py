"""A standing approval: people sign in advance that a low-tier model's next versions may go live, within stated limits.

It stands in for the signatures under one evidence, and for nothing else. What the people sign is the digest of one
document: the version that they looked at (the *baseline*), by how much a candidate may be worse than the champion on
the same rows, how many may be released so, and until which day. The verdict must let the candidate through, it must be
the baseline's code trained again, and it may bring no warning that the baseline did not have: whoever signed has read
those, and nobody reads the new one. Everything else goes to people, as without it.

The permit carries the document with its signatures, so that its verifier needs nothing else: roles and limits come from
the reviewed policy beside it, measurements from the evidence. What only the ledger knows (a later reject, another
champion, how many were released already) the desk asks before it issues a permit
(:mod:`governance.review.standing_approval_desk`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from governance import canonical
from governance.catalog import ModelSpec, People
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import Policy
from governance.records import Measurement, Outcome, Verdict
from governance.review import approvals
from governance.review.approvals import SignedDecision

FORMAT = "governance-standing-approval/1"
SIGNATURE_FORMAT = "governance-standing-approval-signature/1"
PURPOSE = "standing_approval"
PROPOSED, SIGNED = "standing_approval", "standing_approval_signature"
"""Kinds of entries in the ledger."""

MORE_IS_BETTER = frozenset({"performance.accuracy_change", "performance.roc_auc_change"})
"""Comparisons whose lower end counts; of the others, which are of losses, it is the upper one."""

SHORTEST_REASON, LONGEST_REASON = 20, 1000

Json = dict[str, Any]


@dataclass(frozen=True)
class StandingApproval:
    """A proposal and what people answered, as the ledger and the permit have it.

    Attributes:
        approval: ``format``, ``model``, ``environment``, ``policy``, ``people``, ``spec``, ``baseline`` (``version``,
            ``evidence``, ``code``, ``warnings``, ``permit_until``), ``margins``, ``releases``, ``reason``, ``until``
            (its last day), ``proposed_by``, ``proposed_at``.
        signatures: Each says ``standing_approval`` (a digest), ``model``, ``role``, ``person``, ``answer``,
            ``signed_at``.
    """

    approval: Json
    signatures: tuple[SignedDecision, ...] = ()

    @property
    def digest(self) -> str:
        """What people sign."""
        return canonical.digest(self.approval)

    @property
    def ends(self) -> datetime:
        """When its last day is over, UTC."""
        return datetime.combine(date.fromisoformat(self.approval["until"]) + timedelta(days=1), time(), UTC)

    @property
    def permits_end(self) -> datetime:
        """When what it lets through is to be looked at by people again: with the permit of the baseline."""
        return datetime.fromisoformat(self.approval["baseline"]["permit_until"])

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"approval": self.approval, "signatures": [one.to_dict() for one in self.signatures]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "StandingApproval":
        """Inverse of :meth:`to_dict`.

        Raises:
            TamperedError: It is something else.
        """
        try:
            one = cls(
                dict(document["approval"]), tuple(SignedDecision.from_dict(each) for each in document["signatures"])
            )
            datetime.fromisoformat(one.approval["proposed_at"])
            _ = one.ends, one.permits_end, one.approval["margins"].items(), one.approval["baseline"]["warnings"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TamperedError(f"Expected a standing approval and its signatures, found none: {error}.") from error
        return one


@dataclass(frozen=True)
class Use:
    """A standing approval as a permit rests on it.

    Attributes:
        standing: Which.
        number: The how-manieth version it lets through, from 1.
    """

    standing: StandingApproval
    number: int

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {**self.standing.to_dict(), "number": self.number}


def of_model(ledger: Ledger, model: str) -> list[StandingApproval]:
    """Return every standing approval that was ever proposed for a model, oldest first."""
    answers = approvals.answers_to(ledger, SIGNED, model)
    proposed = [StandingApproval(dict(entry.data["approval"])) for entry in ledger.find(PROPOSED, model)]
    return [StandingApproval(one.approval, answers.get(one.digest, ())) for one in proposed]


def of_permit(permit: Mapping[str, Any]) -> Use | None:
    """Return the standing approval that a permit rests on, or ``None`` where people signed its evidence.

    Raises:
        TamperedError: It is something else.
    """
    said = permit.get("standing_approval")
    if said is None:
        return None
    if not isinstance(said, Mapping) or type(said.get("number")) is not int:
        raise TamperedError("Expected a standing approval and which use of it this is, found something else.")
    return Use(StandingApproval.from_dict(said), said["number"])


def fault_of(one: StandingApproval, policy: Policy, people: People, spec: str) -> str | None:
    """Say why it cannot count under the files in force, whoever signed it; ``None`` where it can.

    Args:
        one: The standing approval.
        policy: The model's policy.
        people: Who is who.
        spec: Digest of ``model.yaml``.
    """
    allowed, said = policy.standing_approvals, one.approval
    if allowed is None:
        return f"tier {policy.tier} knows no standing approval of {policy.model}"
    if said.get("format") != FORMAT or said.get("model") != policy.model:
        return f"it is of {said.get('model')}"
    for what, then, now in (
        ("the policy", said["policy"], policy.digest),
        ("people.yaml", said["people"], people.digest),
        ("model.yaml", said["spec"], spec),
    ):
        if then != now:
            return f"{what} changed since it was proposed"
    if not SHORTEST_REASON <= len(" ".join(str(said.get("reason", "")).split())) <= LONGEST_REASON:
        return f"it has no reason of {SHORTEST_REASON} to {LONGEST_REASON} characters"
    proposed = datetime.fromisoformat(said["proposed_at"]).astimezone(UTC).date()
    if not proposed <= date.fromisoformat(said["until"]) <= proposed + timedelta(days=allowed.longest_days):
        return f"it lasts longer than the {allowed.longest_days} days that tier {policy.tier} allows"
    if type(said["releases"]) is not int or not 1 <= said["releases"] <= allowed.most_releases:
        return f"it lets through more than the {allowed.most_releases} versions that tier {policy.tier} allows"
    return None


def _margins_fault(one: StandingApproval, policy: Policy, spec: ModelSpec) -> str | None:
    demanded = policy.standing_approvals.margins_of(spec.task) if policy.standing_approvals else {}
    stated = one.approval["margins"]
    if not demanded:
        return f"the policy has no margin for {spec.task.replace('_', ' ')}"
    wide = [name for name, margin in demanded.items() if not _is_within(stated.get(name), margin)]
    if wide or set(stated) != set(demanded):
        names = ", ".join(wide or sorted(set(stated) ^ set(demanded)))
        return f"its margins are not those of the policy or narrower: {names}"
    return None


def _is_within(stated: Any, margin: float) -> bool:
    return isinstance(stated, int | float) and not isinstance(stated, bool) and 0 <= stated <= margin


def valid_signatures(
    one: StandingApproval, barred: frozenset[str], policy: Policy, people: People, keys: PublicKeys
) -> list[SignedDecision]:
    """Return the answers that count: genuine, over this document, by people who hold a role that signs, one each.

    A person answers once; only a reject may follow, which takes back what was signed. Who proposed it does not sign.
    A reject counts from whoever holds such a role, however much that person is involved.

    Args:
        one: The standing approval.
        barred: Pseudonymous ids of those who may not sign: developers, authors, who started the run.
        policy: The model's policy: which roles sign.
        people: Who is who.
        keys: What signatures are checked with.
    """
    found: dict[str, SignedDecision] = {}
    for answer in one.signatures:
        said = answer.decision
        if said.get("standing_approval") != one.digest or said.get("model") != one.approval["model"]:
            continue
        person, rejects = people.by_id(said["person"]), said["answer"] == "reject"
        if person is None or not answer.is_genuine(keys, PURPOSE, SIGNATURE_FORMAT):
            continue
        if said["role"] not in person.roles or said["role"] not in policy.approvals.roles:
            continue
        if rejects or (person.id not in found and person.id not in barred | {one.approval["proposed_by"]}):
            found[person.id] = answer
    return list(found.values())


def status_of(one: StandingApproval, signed: list[SignedDecision], policy: Policy, at: datetime) -> str:
    """Return ``in force``, ``open`` (signatures are missing), ``rejected`` or ``ended``.

    Args:
        one: The standing approval.
        signed: Its answers that count.
        policy: The model's policy: how many sign in which role.
        at: The moment that is asked about.
    """
    status = approvals.status_of(signed, policy)
    if status == "denied":
        return "rejected"
    if at >= min(one.ends, one.permits_end):
        return "ended"
    return "in force" if status == "approved" else "open"


def doubts(one: StandingApproval, document: Json, spec: ModelSpec) -> Iterator[str]:
    """Yield why a candidate needs people although there is a standing approval, by its evidence alone; nothing: none.

    Args:
        one: The standing approval.
        document: The evidence of the candidate.
        spec: The model's.
    """
    baseline, request, code = one.approval["baseline"], document["request"], document["code"]
    if document["champion"] is None:
        yield "there is no champion to compare it with"
    if spec.trained != "here" or document["training"].get("trained", "here") != "here":
        yield "it was not trained here"
    if code["digest"] != baseline["code"]:
        yield f"code, policies or requirements changed since {baseline['version']}"
    if code["uncommitted"]:
        yield f"{code['uncommitted'][0]} is not committed"
    if request["parameters"]:
        yield f"it was trained with other {', '.join(sorted(request['parameters']))} than model.yaml says"
    if request["source"] not in (None, spec.data.source, spec.retraining.source):
        yield "its data come from elsewhere than model.yaml says"
    if document["replaces"] is not None:
        yield "it is an alternative to a candidate that was blocked"
    if document["waivers"]:
        yield "its verdict rests on a waiver"
    yield from _new_warnings(baseline, document)
    yield from _worse(one.approval["margins"], document)


def _new_warnings(baseline: Json, document: Json) -> Iterator[str]:
    for rule, slice_ in warnings_of(document):
        if [rule, slice_] not in baseline["warnings"]:
            named = f"{rule} of {' '.join(slice_.values())}" if slice_ else rule
            yield f"it brings a warning that {baseline['version']} did not have: {named}"


def warnings_of(document: Json) -> list[list[Any]]:
    """Return the results of an evidence that warn, or that too few rows leave open: each its rule and its slice.

    A rule without limits only lists groups that are too small; whoever signs has nothing to weigh there.
    """
    verdict = Verdict.from_dict(document["verdict"])
    read = (*verdict.with_outcome(Outcome.WARN), *verdict.with_outcome(Outcome.NOT_ENOUGH_DATA))
    return [[result.rule, dict(result.slice)] for result in read if result.limits]


def _worse(margins: Mapping[str, float], document: Json) -> Iterator[str]:
    measured = {one["name"]: Measurement.from_dict(one) for one in document["measurements"] if not one["slice"]}
    for name, margin in margins.items():
        found, title = measured.get(name), _title(name)
        end = None if found is None else found.low if name in MORE_IS_BETTER else found.high
        if end is None:
            yield f"its {title} could not be compared with the champion's"
        elif (worse := -end if name in MORE_IS_BETTER else end) > margin:
            yield f"its {title} may be {worse:.3g} worse than the champion's, where {margin:g} was signed"


def _title(name: str) -> str:
    return name.removeprefix("performance.").removesuffix("_change").replace("_", " ").replace("roc auc", "ROC AUC")


def expect_permitted(
    permit: Mapping[str, Any], document: Json, policy: Policy, people: People, spec: ModelSpec, keys: PublicKeys
) -> Use | None:
    """Check the standing approval that a permit rests on; ``None`` where it rests on none.

    Raises:
        TamperedError: It is no standing approval at all.
        NotPermittedError: The policy allows no such thing, it does not cover this candidate, somebody may not have
            signed, or it is over.
    """
    use = of_permit(permit)
    if use is None:
        return None
    one = use.standing
    fault = fault_of(one, policy, people, document["spec"]["digest"]) or _margins_fault(one, policy, spec)
    if fault:
        raise NotPermittedError(f"Expected a standing approval that counts, but {fault}.")
    if one.approval["environment"] != document["model"]["environment"]:
        raise NotPermittedError(f"Expected a standing approval for {document['model']['environment']}.")
    if doubt := next(doubts(one, document, spec), None):
        raise NotPermittedError(f"The standing approval does not cover this version: {doubt}.")
    if not 1 <= use.number <= one.approval["releases"]:
        raise NotPermittedError(f"Expected one of the {one.approval['releases']} uses of it, found use {use.number}.")
    _expect_signed(one, permit, document, policy, people, keys)
    issued, expires = (datetime.fromisoformat(permit[name]) for name in ("issued_at", "expires_at"))
    if not datetime.fromisoformat(one.approval["proposed_at"]) <= issued < one.ends:
        raise NotPermittedError(f"This permit was not issued while the standing approval was in force, {_term(one)}.")
    if expires > one.permits_end:
        raise NotPermittedError(f"This permit lasts longer than that of the version people looked at, {_term(one)}.")
    return use


def _expect_signed(
    one: StandingApproval,
    permit: Mapping[str, Any],
    document: Json,
    policy: Policy,
    people: People,
    keys: PublicKeys,
) -> None:
    signed = valid_signatures(one, involved_in(document, people) | set(permit["run_actors"]), policy, people, keys)
    if len(signed) != len(one.signatures):
        raise NotPermittedError(
            f"Of {len(one.signatures)} signatures under the standing approval only {len(signed)} count for it."
        )
    if approvals.status_of(signed, policy) != "approved":
        raise NotPermittedError("Signatures are missing under the standing approval, or somebody rejected it.")


def involved_in(document: Json, people: People) -> frozenset[str]:
    """Return who may not sign for a candidate by its evidence: developers, authors, and who started the run."""
    return frozenset(one.id for one in people.everyone if approvals.refusals(one, document))


def _term(one: StandingApproval) -> str:
    return f"until {one.ends:%d %b %Y}; it ended with the permit of {one.approval['baseline']['version']}"


def sentence(use: Use, people: People) -> str:
    """Say that a version serves on a word given in advance: whose, until when, and the how-manieth it is."""
    said = use.standing.approval
    signed = (each.decision for each in use.standing.signatures if each.decision["answer"] == "approve")
    names = " and ".join(people.name(one["person"]) for one in signed) or "nobody"
    until = date.fromisoformat(said["until"])
    return (
        f"Standing approval by {names} after {said['baseline']['version']}, until {until:%d %b %Y}, "
        f"version {use.number} of {said['releases']}: {said['reason']}"
    )
