"""The desk for exceptions: proposing a waiver, signing or rejecting it, and closing a finding.

Runs in the API server, on the review desk: it shares its ledger, its keys and its view of who wrote the code. Anybody
in ``people.yaml`` with a role may propose a waiver; who proposed it does not sign it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from governance.catalog import ModelSpec, People, Person, find_spec
from governance.errors import InputError, MayNotSignError, RefusedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import Policy, Rule
from governance.review import approvals, findings, waivers
from governance.review.approvals import SignedDecision
from governance.review.desk import ReviewDesk
from governance.review.findings import Finding
from governance.review.lastday import last_day
from governance.review.waivers import Involved, SignedWaiver

SHORTEST_REASON, LONGEST_REASON = 20, 1000

Json = dict[str, Any]


@dataclass(frozen=True)
class WaiverView:
    """One waiver, for people to read.

    Attributes:
        digest: What people sign.
        rule: The rule's id.
        title: The rule in words.
        slice: Which of its results; ``None`` for all.
        demands: What the rule demanded when it was proposed.
        reason: Why.
        until: Its last day.
        status: ``in force``, ``open``, ``rejected``, ``ended``, or ``void`` where the policy speaks against it.
        fault: Why it is void.
        proposed_by: Name.
        proposed_at: When.
        signed: Name and title of the role of each who signed, and the answer.
        missing: Title of each role → how many signatures it lacks.
        may_sign: The roles in which the reader may sign.
        why_not: Why the reader may not, where nothing else stands in the way.
    """

    digest: str
    rule: str
    title: str
    slice: Mapping[str, str] | None
    demands: Mapping[str, Any]
    reason: str
    until: date
    status: str
    fault: str | None
    proposed_by: str
    proposed_at: datetime
    signed: Sequence[tuple[str, str, str]]
    missing: Mapping[str, int]
    may_sign: Sequence[str]
    why_not: str

    def to_dict(self) -> Json:
        """Return the JSON form."""
        answers = [{"person_name": name, "role": role, "answer": answer} for name, role, answer in self.signed]
        return {
            **self.__dict__,
            "slice": dict(self.slice) if self.slice else None,
            "demands": dict(self.demands),
            "until": self.until.isoformat(),
            "proposed_at": self.proposed_at.isoformat(),
            "signed": answers,
            "missing": dict(self.missing),
            "may_sign": list(self.may_sign),
        }


def views(
    ledger: Ledger,
    keys: PublicKeys,
    policy: Policy,
    people: People,
    involved: Involved,
    login: str | None = None,
) -> list[WaiverView]:
    """Return every waiver that was proposed for a model, newest first, as one reader sees it."""
    person, at = people.by_login(login) if login else None, datetime.now(UTC)
    known = waivers.of_model(ledger, policy.model)
    return [_view(one, person, policy, people, keys, involved, at) for one in reversed(known)]


def _view(
    one: SignedWaiver,
    person: Person | None,
    policy: Policy,
    people: People,
    keys: PublicKeys,
    involved: Involved,
    at: datetime,
) -> WaiverView:
    signed = waivers.valid_signatures(one, involved, policy, people, keys)
    fault = waivers.fault_of(one, policy)
    status = "void" if fault else waivers.status_of(one, involved, policy, people, keys, at)
    lacking = approvals.missing_roles(signed, policy) if status == "open" else {}
    why_not = _why_not(person, one, involved, policy, signed)
    rule = policy.rule(one.waiver["rule"])
    return WaiverView(
        digest=one.digest,
        rule=one.waiver["rule"],
        title=rule.title if rule else one.waiver["rule"],
        slice=one.waiver["slice"],
        demands=one.waiver["demands"],
        reason=one.waiver["reason"],
        until=one.until,
        status=status,
        fault=fault,
        proposed_by=people.name(one.waiver["proposed_by"]),
        proposed_at=datetime.fromisoformat(one.waiver["proposed_at"]),
        signed=[
            (
                people.name(answer.decision["person"]),
                people.role_title(answer.decision["role"]),
                answer.decision["answer"],
            )
            for answer in signed
        ],
        missing={people.role_title(role): count for role, count in lacking.items()},
        may_sign=[role for role in lacking if person and not why_not and role in person.roles],
        why_not=why_not,
    )


def _why_not(
    person: Person | None, one: SignedWaiver, involved: Involved, policy: Policy, signed: Sequence[SignedDecision]
) -> str:
    if person is None:
        return "You are not in people.yaml: you may read, not sign."
    if person.id == one.waiver["proposed_by"]:
        return "You proposed this waiver: others sign it."
    if person.id in involved.developers:
        return f"You trained this model: you may not sign. You are a developer in models/{policy.model}/model.yaml."
    if person.id in involved.authors:
        return "You changed this model's folder, policy or roles: you may not sign."
    if any(answer.decision["person"] == person.id for answer in signed):
        return "You have answered already; you may still reject it."
    if not set(person.roles) & set(policy.approvals.roles):
        return "You hold no role that signs here. Who holds which is written in people.yaml."
    return ""


def involved_of(spec: ModelSpec, people: People) -> Involved:
    """Return who may not sign for a model by its spec alone; authors are told by the history when people sign."""
    return Involved(frozenset(map(people.identity, spec.developers)), frozenset())


class WaiverDesk:
    """Takes proposals and signatures, and closes findings."""

    def __init__(self, desk: ReviewDesk) -> None:
        self.desk = desk

    def waivers(self, model: str, login: str) -> list[WaiverView]:
        """Return every waiver that was proposed for a model, newest first."""
        policy, people = self.desk.policy(model), self.desk.people()
        return views(self.desk.ledger, self.desk.keys, policy, people, self._involved(model, people), login)

    def waiver(self, model: str, digest: str, login: str) -> WaiverView:
        """Return one waiver.

        Raises:
            InputError: There is none with this digest.
        """
        found = next((one for one in self.waivers(model, login) if one.digest == digest), None)
        if found is None:
            raise InputError(f"Expected a waiver of {model} with digest {digest[:16]}…, found none.")
        return found

    def rules(self, model: str) -> list[Rule]:
        """Return the rules that a waiver can lift."""
        policy = self.desk.policy(model)
        return [rule for rule in policy.rules_of(self._task(model)) if policy.may_be_waived(rule)]

    def propose(
        self, *, login: str, model: str, rule: str, slice_: Mapping[str, str] | None, reason: str, until: str
    ) -> WaiverView:
        """Enter a proposal.

        Args:
            login: Who proposes, as Airflow's login says.
            model: The model.
            rule: The rule's id.
            slice_: Which of its results (``{"attribute": "race"}``); ``None`` for all.
            reason: Why, in a sentence; part of the evidence, shown everywhere.
            until: The last day on which it counts, ``2027-01-31``.

        Raises:
            InputError: The rule, the reason or the date cannot be used; the message says what can.
            MayNotSignError: The person holds no role.
            UnavailableError: The ledger does not answer; look whether the proposal is there before proposing again.
        """
        self.desk.expect_signer("people sign")
        person = self._person(login)
        if not person.roles:
            raise MayNotSignError("You hold no role: whoever proposes a waiver holds one, whichever it is.")
        policy = self.desk.policy(model)
        text = " ".join(reason.split())
        if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
            raise InputError(
                f"Expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, found {len(text)}: say why "
                f"the rule may give way, and what is done meanwhile."
            )
        demanded = self._rule(policy, rule, model, slice_)
        now, longest = datetime.now(UTC), policy.waivers.longest_days if policy.waivers else 0
        document = {
            "format": waivers.FORMAT,
            "model": model,
            "rule": rule,
            "slice": dict(slice_) if slice_ else None,
            "demands": demanded.demands,
            "reason": text,
            "until": last_day(until, now.date(), longest, policy.tier).isoformat(),
            "proposed_by": person.id,
            "proposed_at": now.isoformat(),
        }
        digest = SignedWaiver(document).digest
        data = {"waiver": document}
        self.desk.ledger.append(waivers.PROPOSED, model, data, actor=person.id, key=f"waiver:{digest}")
        return self.waiver(model, digest, login)

    def answer(self, *, login: str, model: str, digest: str, answer: str, role: str | None = None) -> WaiverView:
        """Sign a waiver or reject it.

        Args:
            login: Who answers.
            model: The model.
            digest: The waiver that was read.
            answer: ``approve`` or ``reject``; one reject ends it, also after it was signed.
            role: In which role; needed only by who holds several that are open.

        Raises:
            InputError: There is no such waiver, or no such answer.
            MayNotSignError: The person may not, with the reason.
            RefusedError: It is over, rejected or void.
            UnavailableError: The ledger does not answer; the same answer again is safe.
        """
        signer, person = self.desk.expect_signer("people sign"), self._person(login)
        found = self.waiver(model, digest, login)
        if answer not in ("approve", "reject"):
            raise InputError(f"Expected approve or reject, found {answer!r}.")
        may_reject = answer == "reject" and found.why_not.startswith("You have answered")
        if found.why_not and not may_reject:
            raise MayNotSignError(found.why_not)
        if found.status not in ("open", "in force") or (answer == "approve" and found.status != "open"):
            raise RefusedError(f"Not signed: this waiver is {found.status}{f', {found.fault}' if found.fault else ''}.")
        if person.id in self.desk.authors(model):
            raise MayNotSignError(
                "You changed this model's folder, policy or roles: you may not sign it. The history of the checkout "
                "says so."
            )
        signature = {
            "format": waivers.SIGNATURE_FORMAT,
            "waiver": digest,
            "model": model,
            "role": self._role(model, person, found, answer, role),
            "person": person.id,
            "answer": answer,
            "people": self.desk.people().digest,
            "policy": self.desk.policy(model).digest,
            "signed_at": datetime.now(UTC).isoformat(),
        }
        signed = SignedDecision(signature, signer.sign(signature, waivers.PURPOSE))
        key = f"{waivers.SIGNED}:{digest}:{person.id}:{answer}"
        self.desk.ledger.append(waivers.SIGNED, model, signed.to_dict(), actor=person.id, key=key)
        return self.waiver(model, digest, login)

    def findings(self, model: str) -> list[Finding]:
        """Return the findings of a model, the open ones first, the soonest due first."""
        known = findings.of_model(self.desk.ledger, model, self.desk.keys)
        return sorted(known, key=lambda one: (not one.is_open, one.due, one.id))

    def close(self, *, login: str, model: str, finding: str, how: str) -> Finding:
        """Close a finding.

        Args:
            login: Who closes it: of the role that raised it, neither its owner nor a developer.
            model: The model.
            finding: Its id.
            how: What was done, in a sentence.

        Raises:
            InputError: There is no such finding, or nothing is said.
            MayNotSignError: The person may not, with the reason.
            RefusedError: It is closed already.
            UnavailableError: The ledger does not answer; closing again is safe.
        """
        signer, person = self.desk.expect_signer("people sign"), self._person(login)
        found = next((one for one in self.findings(model) if one.id == finding), None)
        if found is None:
            raise InputError(f"Expected a finding of {model} with the id {finding!r}, found none.")
        if not found.is_open:
            raise RefusedError(f"Finding {finding} was closed by {self.desk.people().name(str(found.closed_by))}.")
        if reason := self._may_not_close(person, found, model):
            raise MayNotSignError(reason)
        text = " ".join(how.split())
        if len(text) < SHORTEST_REASON or len(text) > LONGEST_REASON:
            raise InputError(f"Expected {SHORTEST_REASON} to {LONGEST_REASON} characters on what was done.")
        closing = {
            "format": findings.FORMAT,
            "finding": finding,
            "model": model,
            "person": person.id,
            "role": found.role,
            "how": text,
            "people": self.desk.people().digest,
            "closed_at": datetime.now(UTC).isoformat(),
        }
        data = {"closing": closing, "signature": signer.sign(closing, findings.PURPOSE)}
        self.desk.ledger.append(findings.CLOSED, model, data, actor=person.id, key=f"{findings.CLOSED}:{finding}")
        return next(one for one in self.findings(model) if one.id == finding)

    def may_not_close(self, login: str, finding: Finding, model: str) -> str:
        """Say why a person may not close a finding; nothing where the person may."""
        person = self.desk.people().by_login(login)
        return self._may_not_close(person, finding, model) if person else "You are not in people.yaml."

    def _may_not_close(self, person: Person, finding: Finding, model: str) -> str:
        if finding.role not in person.roles:
            return f"{self.desk.people().role_title(finding.role)} raised this finding, and closes it."
        if person.id == finding.owner:
            return "You mend this finding: somebody else of the role closes it."
        if person.login in find_spec(self.desk.settings, model).developers:
            return "You trained this model: somebody else of the role closes its findings."
        return ""

    def _rule(self, policy: Policy, name: str, model: str, slice_: Mapping[str, str] | None) -> Rule:
        rule, possible = policy.rule(name), self.rules(model)
        if rule is None or rule not in possible:
            known = ", ".join(one.id for one in possible) or "none"
            said = f"tier {policy.tier} lets no waiver lift the rule {name}" if rule else f"there is no rule {name!r}"
            raise InputError(f"Expected a rule that can be waived, but {said}. Possible: {known}.")
        spec = find_spec(self.desk.settings, model)
        crossed = [" × ".join(names) for names in spec.intersections]
        parts = {"attributes": list(spec.protected), "intersections": crossed}.get(rule.over, [])
        if slice_ and dict(slice_) not in [{"attribute": one} for one in parts]:
            said = f"one of {', '.join(parts)}" if parts else "none, for the rule has one result"
            raise InputError(f"Expected as the part of {name} that gives way {said}, found {dict(slice_)}.")
        return rule

    def _role(self, model: str, person: Person, found: WaiverView, answer: str, role: str | None) -> str:
        signing = self.desk.policy(model).approvals.roles
        demanded = list(found.may_sign) if answer == "approve" else [one for one in person.roles if one in signing]
        if role is None and len(demanded) == 1:
            return demanded[0]
        if role in demanded:
            return str(role)
        if not demanded:
            raise MayNotSignError("Your role has signed already: nothing is missing from it.")
        raise InputError(f"Say in which role you answer: {', '.join(demanded)}.")

    def _involved(self, model: str, people: People) -> Involved:
        return involved_of(find_spec(self.desk.settings, model), people)

    def _task(self, model: str) -> Any:
        return find_spec(self.desk.settings, model).task

    def _person(self, login: str) -> Person:
        person = self.desk.people().by_login(login)
        if person is None:
            raise MayNotSignError(f"You are not in people.yaml: you may read, not sign. Your login is {login}.")
        return person
