"""The desk for standing approvals: proposing, signing and rejecting one, and issuing the permits that rest on one.

Runs in the API server, on the review desk: it shares its ledger, its keys and its view of who wrote the code. Whoever
holds a role may propose, and so may a developer of the model; who proposed it does not sign it. A permit is issued when
the pipeline asks for one, by rule alone: nobody is logged in then, and nothing that the pipeline says is believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from governance.catalog import ModelSpec, People, Person, find_spec
from governance.errors import InputError, MayNotSignError, NotPermittedError, RefusedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.policy import Policy
from governance.review import approvals, entries, incidents, permit, standing_approval
from governance.review.approvals import SignedDecision
from governance.review.desk import Request, ReviewDesk, RunActors
from governance.review.lastday import last_day
from governance.review.standing_approval import LONGEST_REASON, SHORTEST_REASON, StandingApproval, Use

USED = "standing_approval_use"
"""Kind of the entry that claims one of the uses of a standing approval for one evidence."""

ISSUER = "standing_approval"
"""On whose word a permit is issued that nobody asked for: nobody's in people.yaml."""

Json = dict[str, Any]


@dataclass(frozen=True)
class StandingApprovalView:
    """One standing approval, for people to read.

    Attributes:
        digest: What people sign.
        status: ``in force``, ``open``, ``rejected``, ``ended``, ``used up``, or ``void`` where something changed since.
        fault: Why it is void.
        baseline: The version that people looked at.
        margins: Comparison with the champion → by how much a candidate may be worse.
        releases: How many versions it lets through.
        used: How many it let through already: semantic versions, in their order.
        reason: Why.
        until: Its last day.
        permits_end: When the permits that it gives end, whatever the policy says.
        proposed_by: Name.
        proposed_at: When.
        signed: Name and title of the role of each who answered, and the answer.
        missing: Title of each role → how many signatures it lacks.
        may_sign: The roles in which the reader may sign.
        may_reject: The roles in which the reader may reject it.
        why_not: Why the reader may not sign.
    """

    digest: str
    status: str
    fault: str | None
    baseline: str
    margins: Mapping[str, float]
    releases: int
    used: Sequence[str]
    reason: str
    until: date
    permits_end: datetime
    proposed_by: str
    proposed_at: datetime
    signed: Sequence[tuple[str, str, str]]
    missing: Mapping[str, int]
    may_sign: Sequence[str]
    may_reject: Sequence[str]
    why_not: str

    def to_dict(self) -> Json:
        """Return the JSON form."""
        answers = [{"person_name": name, "role": role, "answer": answer} for name, role, answer in self.signed]
        times = {name: getattr(self, name).isoformat() for name in ("until", "permits_end", "proposed_at")}
        lists = {name: list(getattr(self, name)) for name in ("used", "may_sign", "may_reject")}
        shown = {"margins": dict(self.margins), "missing": dict(self.missing), "signed": answers}
        return {**self.__dict__, **times, **lists, **shown}


@dataclass(frozen=True)
class Office:
    """What a standing approval is read with: the files in force, and the record.

    Attributes:
        ledger: The record.
        keys: What signatures are checked with.
        spec: The model's.
        policy: Its policy.
        people: Who is who.
    """

    ledger: Ledger
    keys: PublicKeys
    spec: ModelSpec
    policy: Policy
    people: People

    @property
    def developers(self) -> frozenset[str]:
        """Who may not sign by the spec alone; authors are told by the history when people sign."""
        return frozenset(map(self.people.identity, self.spec.developers))

    def fault(self, one: StandingApproval) -> str | None:
        """Say why one cannot count under the files in force."""
        return standing_approval.fault_of(one, self.policy, self.people, self.spec.digest)

    def signed(self, one: StandingApproval, barred: frozenset[str] = frozenset()) -> list[SignedDecision]:
        """Return its answers that count."""
        return standing_approval.valid_signatures(one, self.developers | barred, self.policy, self.people, self.keys)

    def uses(self, one: StandingApproval) -> list[Entry]:
        """Return what was let through under it."""
        return [each for each in self.ledger.find(USED, self.spec.name) if each.data["standing_approval"] == one.digest]

    def in_force(self, at: datetime) -> list[StandingApproval]:
        """Return those in force, newest first; whether they cover a candidate is another question."""
        known = reversed(standing_approval.of_model(self.ledger, self.spec.name))
        return [one for one in known if self.status(one, at) == "in force"]

    def status(self, one: StandingApproval, at: datetime) -> str:
        """Return where it stands."""
        if self.fault(one):
            return "void"
        status = standing_approval.status_of(one, self.signed(one), self.policy, at)
        return "used up" if status == "in force" and len(self.uses(one)) >= one.approval["releases"] else status


def views(office: Office, login: str | None = None) -> list[StandingApprovalView]:
    """Return every standing approval that was proposed for a model, newest first, as one reader sees it."""
    person, at = office.people.by_login(login) if login else None, datetime.now(UTC)
    known = standing_approval.of_model(office.ledger, office.spec.name)
    return [_view(office, one, person, at) for one in reversed(known)]


def _view(office: Office, one: StandingApproval, person: Person | None, at: datetime) -> StandingApprovalView:
    said, people, signed, status = one.approval, office.people, office.signed(one), office.status(one, at)
    lacking = approvals.missing_roles(signed, office.policy) if status == "open" else {}
    why_not = _why_not(office, one, person, signed)
    held = [role for role in person.roles if role in office.policy.approvals.roles] if person else []
    return StandingApprovalView(
        digest=one.digest,
        status=status,
        fault=office.fault(one),
        baseline=said["baseline"]["version"],
        margins=said["margins"],
        releases=said["releases"],
        used=[entry.data["version"] for entry in office.uses(one)],
        reason=said["reason"],
        until=date.fromisoformat(said["until"]),
        permits_end=one.permits_end,
        proposed_by=people.name(said["proposed_by"]),
        proposed_at=datetime.fromisoformat(said["proposed_at"]),
        signed=[_answer(people, each.decision) for each in signed],
        missing={people.role_title(role): count for role, count in lacking.items()},
        may_sign=[role for role in lacking if role in held and not why_not],
        may_reject=held if status in ("open", "in force") else [],
        why_not=why_not,
    )


def _answer(people: People, said: Json) -> tuple[str, str, str]:
    return people.name(said["person"]), people.role_title(said["role"]), said["answer"]


def _why_not(office: Office, one: StandingApproval, person: Person | None, signed: Sequence[SignedDecision]) -> str:
    if person is None:
        return "You are not in people.yaml: you may read, not sign."
    if person.id == one.approval["proposed_by"]:
        return "You proposed this: others sign it."
    if person.id in office.developers:
        return f"You trained this model: you may not sign. You are a developer in models/{office.spec.name}/model.yaml."
    if any(answer.decision["person"] == person.id for answer in signed):
        return "You have answered already; you may still reject it."
    if not set(person.roles) & set(office.policy.approvals.roles):
        return "You hold no role that signs here. Who holds which is written in people.yaml."
    return ""


class StandingApprovalDesk:
    """Takes proposals and signatures, and issues permits under them."""

    def __init__(self, desk: ReviewDesk) -> None:
        self.desk = desk

    def office(self, model: str) -> Office:
        """Return what a model's standing approvals are read with.

        Raises:
            InputError: There is no such model, or its files have faults.
        """
        spec = find_spec(self.desk.settings, model)
        return Office(self.desk.ledger, self.desk.keys, spec, self.desk.policy(model), self.desk.people())

    def views(self, model: str, login: str) -> list[StandingApprovalView]:
        """Return every standing approval that was proposed for a model, newest first."""
        return views(self.office(model), login)

    def view(self, model: str, digest: str, login: str) -> StandingApprovalView:
        """Return one.

        Raises:
            InputError: There is none with this digest.
        """
        found = next((one for one in self.views(model, login) if one.digest == digest), None)
        if found is None:
            raise InputError(f"Expected a standing approval of {model} with digest {digest[:16]}…, found none.")
        return found

    def serving(self, model: str) -> str:
        """Return the version that serves; empty where none does."""
        entry = entries.champion_entry(self.desk.ledger, model)
        return str(entry.data["version"]) if entry else ""

    def may_not_propose(self, model: str, login: str) -> str:
        """Say why a person may not propose one now; nothing where the person may."""
        office = self.office(model)
        person, allowed = office.people.by_login(login), office.policy.standing_approvals
        if allowed is None:
            return f"Tier {office.policy.tier} knows no standing approval of {model}: people sign each version."
        if not allowed.margins_of(office.spec.task):
            return (
                f"The policy has no margin for {office.spec.task.replace('_', ' ')}: write one under "
                f"`standing_approvals: margins:` in models/{model}/policy.yaml."
            )
        if person is None or not (person.roles or person.id in office.developers):
            return "Who holds a role proposes one, or a developer of the model."
        if any(office.status(one, datetime.now(UTC)) == "open" for one in self._known(model)):
            return "One waits for signatures already: sign or reject it first."
        return self._no_baseline(office)

    def propose(
        self, *, login: str, model: str, releases: int, reason: str, until: str, margins: Mapping[str, float]
    ) -> StandingApprovalView:
        """Propose one over the version that serves.

        Args:
            login: Who proposes, as Airflow's login says.
            model: The model.
            releases: How many versions it lets through.
            reason: Why nobody needs to read these, in a sentence.
            until: Its last day, ``2027-01-31``.
            margins: Comparison → margin, where it is to be narrower than the policy's.

        Raises:
            InputError: A number, the reason or the day cannot be used; the message says what can.
            MayNotSignError: The person or the policy may not, or nothing serves that people signed.
            UnavailableError: The ledger does not answer; look whether the proposal is there before proposing again.
        """
        self.desk.expect_signer("people sign")
        if why_not := self.may_not_propose(model, login):
            raise MayNotSignError(why_not)
        office, now = self.office(model), datetime.now(UTC)
        allowed, person = office.policy.standing_approvals, office.people.by_login(login)
        if allowed is None or person is None:  # may_not_propose has said so
            raise MayNotSignError("You may not propose a standing approval.")
        if not 1 <= releases <= allowed.most_releases:
            raise InputError(f"Expected 1 to {allowed.most_releases} versions, as the policy allows, found {releases}.")
        approval = {
            "format": standing_approval.FORMAT,
            "model": model,
            "environment": self.desk.settings.environment,
            "policy": office.policy.digest,
            "people": office.people.digest,
            "spec": office.spec.digest,
            "baseline": self._baseline(model),
            "margins": _margins(allowed.margins_of(office.spec.task), margins),
            "releases": releases,
            "reason": _reason(reason),
            "until": last_day(until, now.date(), allowed.longest_days, office.policy.tier).isoformat(),
            "proposed_by": person.id,
            "proposed_at": now.isoformat(),
        }
        digest = StandingApproval(approval).digest
        key = f"{standing_approval.PROPOSED}:{digest}"
        self.desk.ledger.append(standing_approval.PROPOSED, model, {"approval": approval}, actor=person.id, key=key)
        return self.view(model, digest, login)

    def answer(
        self, *, login: str, model: str, digest: str, answer: str, role: str | None = None
    ) -> StandingApprovalView:
        """Sign a standing approval or reject it.

        Args:
            login: Who answers.
            model: The model.
            digest: What was read.
            answer: ``approve`` or ``reject``; one reject ends it, also after it was signed.
            role: In which role; needed only by who holds several that are open.

        Raises:
            InputError: There is none, or no such answer.
            MayNotSignError: The person may not, with the reason.
            RefusedError: It is over, rejected or void.
            UnavailableError: The ledger does not answer; the same answer again is safe.
        """
        signer, person = self.desk.expect_signer("people sign"), self.desk.people().by_login(login)
        found = self.view(model, digest, login)
        if answer not in ("approve", "reject"):
            raise InputError(f"Expected approve or reject, found {answer!r}.")
        open_to = found.may_sign if answer == "approve" else found.may_reject
        if found.status not in ("open", "in force") or (answer == "approve" and found.status != "open"):
            raise RefusedError(f"Not signed: this is {found.status}{f', {found.fault}' if found.fault else ''}.")
        if person is None or not open_to:
            raise MayNotSignError(found.why_not or "Your role has signed already: nothing is missing from it.")
        if answer == "approve" and person.id in self.desk.authors(model):
            raise MayNotSignError(
                "You changed this model's folder, policy or roles: you may not sign it. The history of the checkout "
                "says so."
            )
        signature = {
            "format": standing_approval.SIGNATURE_FORMAT,
            "standing_approval": digest,
            "model": model,
            "role": _chosen(role, open_to),
            "person": person.id,
            "answer": answer,
            "signed_at": datetime.now(UTC).isoformat(),
        }
        signed = SignedDecision(signature, signer.sign(signature, standing_approval.PURPOSE))
        key = f"{standing_approval.SIGNED}:{digest}:{person.id}:{answer}"
        self.desk.ledger.append(standing_approval.SIGNED, model, signed.to_dict(), actor=person.id, key=key)
        return self.view(model, digest, login)

    def apply(self, *, model: str, version: str, evidence: str, run_actors: RunActors) -> Use:
        """Issue the permit of a candidate that a standing approval covers; the same one again where it is there.

        Args:
            model: The model.
            version: The candidate's semantic version.
            evidence: The digest that the pipeline asks about.
            run_actors: Who started, cleared or patched the run.

        Raises:
            InputError: There is no such candidate.
            RefusedError: None covers it: people sign. The message says why.
            UnavailableError: The ledger does not answer; asking again is safe.
        """
        request = self.desk.request(model, version)
        issued = self.desk.permit_of(request)
        known = standing_approval.of_permit(issued) if issued and request.digest == evidence else None
        if known is not None:
            return known
        self.desk.expect_open(request, evidence)
        office, at = self.office(model), datetime.now(UTC)
        actors = {office.people.identity(login): list(done) for login, done in run_actors.items()}
        barred = standing_approval.involved_in(request.evidence, office.people) | self.desk.authors(model) | set(actors)
        refusals = ["none is in force"]
        for one in office.in_force(at):
            counting = StandingApproval(one.approval, tuple(office.signed(one, barred)))
            doubt = self._doubt(office, counting, request)
            if doubt is None:
                return self._issue(office, counting, request, actors, at)
            refusals.append(doubt)
        raise RefusedError(f"No standing approval covers {model} {version}, so people sign: {refusals[-1]}.")

    def _doubt(self, office: Office, one: StandingApproval, request: Request) -> str | None:
        """Say why one does not cover a candidate, by its evidence and by the record; ``None`` where it does."""
        if approvals.status_of(one.signatures, office.policy) != "approved":
            return "somebody who signed it is involved in this version, or changed its run"
        said = next(standing_approval.doubts(one, request.evidence, office.spec), None)
        return said or self._doubt_of_the_record(one, request)

    def _doubt_of_the_record(self, one: StandingApproval, request: Request) -> str | None:
        ledger, model, baseline = self.desk.ledger, request.model, one.approval["baseline"]
        serving = entries.champion_entry(ledger, model)
        if serving is None or serving.data["evidence"] != request.evidence["champion"]["evidence"]:
            return "another version serves now than the one it was compared with"
        if serving.data["evidence"] != baseline["evidence"]:
            rests_on = standing_approval.of_permit(
                entries.permit_entry(ledger, model, serving.data["evidence"]).data["permit"]
            )
            if rests_on is None or rests_on.standing.digest != one.digest:
                return f"{serving.data['version']} serves, which is neither {baseline['version']} nor came from it"
        if incidents.open_by_model(ledger, self.desk.keys)[model]:
            return "an incident of the model is open"
        try:
            entries.expect_not_revoked(ledger, model, baseline["evidence"])
        except NotPermittedError:
            return f"the permit of {baseline['version']} was revoked"
        return None

    def _issue(
        self, office: Office, one: StandingApproval, request: Request, actors: Mapping[str, list[str]], at: datetime
    ) -> Use:
        """Claim a use, and write the permit; whatever ends it in between, the same evidence has the same use again."""
        use = Use(one, self._claimed(one, request))
        given = [each for each in self.desk.decisions(request) if each.decision["person"] not in actors]
        signer = self.desk.expect_signer("permits are issued")
        facts = (request.evidence, given, actors, office.policy, office.people, signer, at)
        issued = permit.issue(*facts, standing=use)
        standing_approval.expect_permitted(
            issued["permit"], request.evidence, office.policy, office.people, office.spec, office.keys
        )
        entry = self.desk.ledger.append("permit", request.model, issued, actor=ISSUER, key=f"permit:{request.digest}")
        written = standing_approval.of_permit(entry.data["permit"])
        if written is None:
            raise RefusedError(f"People signed {request.model} {request.version} meanwhile: nothing is left to permit.")
        return written

    def _claimed(self, one: StandingApproval, request: Request) -> int:
        """Return the number of the use that is this evidence's; two runs at once cannot have the same one."""
        claim = {"standing_approval": one.digest, "evidence": request.digest, "version": request.version}
        for number in range(1, one.approval["releases"] + 1):
            data = {**claim, "number": number}
            entry = self.desk.ledger.append(
                USED, request.model, data, actor=ISSUER, key=f"{USED}:{one.digest}:{number}"
            )
            if entry.data["evidence"] == request.digest:
                return number
        raise RefusedError(
            f"The standing approval of {request.model} has let through its {one.approval['releases']} versions: people "
            f"sign this one."
        )

    def _known(self, model: str) -> list[StandingApproval]:
        return standing_approval.of_model(self.desk.ledger, model)

    def _no_baseline(self, office: Office) -> str:
        serving = entries.champion_entry(office.ledger, office.spec.name)
        if serving is None:
            return "Nothing serves: people sign the first version, and may then sign for the next ones in advance."
        issued = entries.permit_entry(office.ledger, office.spec.name, serving.data["evidence"]).data["permit"]
        if issued.get("standing_approval") is not None or issued.get("break_glass") is not None:
            return f"Nobody read the evidence of {serving.data['version']}, which serves: sign a version in full first."
        return ""

    def _baseline(self, model: str) -> Json:
        """Return what serves, as people read it."""
        serving = entries.champion_entry(self.desk.ledger, model)
        if serving is None:
            raise MayNotSignError("Nothing serves: people sign the first version.")
        digest = str(serving.data["evidence"])
        document = entries.evidence_entry(self.desk.ledger, model, digest).data["evidence"]
        issued = entries.permit_entry(self.desk.ledger, model, digest).data["permit"]
        return {
            "version": serving.data["version"],
            "evidence": digest,
            "code": document["code"]["digest"],
            "warnings": standing_approval.warnings_of(document),
            "permit_until": issued["expires_at"],
        }


def _margins(policy: Mapping[str, float], asked: Mapping[str, float]) -> dict[str, float]:
    """Return the margins of the policy, narrower where that was asked for."""
    for name, margin in asked.items():
        if name not in policy:
            raise InputError(f"Expected a margin of {', '.join(policy)}, found {name!r}.")
        if not 0 <= margin <= policy[name]:
            raise InputError(f"Expected a margin of {name} from 0 to {policy[name]:g}, found {margin:g}.")
    return {**policy, **asked}


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise InputError(
            f"Expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, found {len(reason)}: say why "
            f"nobody needs to read the next versions."
        )
    return reason


def _chosen(role: str | None, open_to: Sequence[str]) -> str:
    if role in open_to:
        return str(role)
    if role is None and len(open_to) == 1:
        return open_to[0]
    raise InputError(f"Say in which role you answer: {', '.join(open_to)}.")
