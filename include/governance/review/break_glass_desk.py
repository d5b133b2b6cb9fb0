"""The desk for emergencies: proposing a break-glass release, and being the second who signs it.

Runs in the API server, on the review desk, whose ledger, key and view of who may sign it shares. Who proposes signs at
once; the signature that completes the number of people issues the permit and opens the incident. The run that waits
for signatures goes on by itself then, and the release verifies everything as always.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from governance.catalog import People, Person
from governance.errors import InputError, MayNotSignError, RefusedError
from governance.ledger.log import Entry
from governance.policy import Policy
from governance.policyfile import BreakGlass as Allowed
from governance.review import approvals, break_glass, incidents, permit
from governance.review.approvals import SignedDecision
from governance.review.break_glass import LONGEST_REASON, SHORTEST_REASON, BreakGlass
from governance.review.desk import Request, ReviewDesk, RunActors
from governance.review.lastday import last_day

Json = dict[str, Any]


@dataclass(frozen=True)
class BreakGlassView:
    """One proposal, for people to read.

    Attributes:
        digest: What people sign.
        reason: Why.
        until: Its last day.
        status: ``open`` (people are missing), ``in force``, ``ended`` or ``void``.
        fault: Why it is void.
        signed: Name and title of the role of each who signed.
        missing: How many people are still needed.
    """

    digest: str
    reason: str
    until: date
    status: str
    fault: str | None
    signed: Sequence[tuple[str, str]]
    missing: int

    def to_dict(self) -> Json:
        """Return the JSON form."""
        signed = [{"person_name": name, "role": role} for name, role in self.signed]
        return {**self.__dict__, "until": self.until.isoformat(), "signed": signed}


class BreakGlassDesk:
    """Takes proposals and signatures for emergencies."""

    def __init__(self, desk: ReviewDesk) -> None:
        self.desk = desk

    def views(self, request: Request) -> list[BreakGlassView]:
        """Return everything that was proposed for an evidence, newest first."""
        policy, people = self.desk.policy(request.model), self.desk.people()
        return [self._view(one, request, policy, people) for one in reversed(self._of(request))]

    def why_not(self, request: Request, login: str, run_actors: RunActors, digest: str | None = None) -> str:
        """Say why a person may not break the glass for a request; nothing where the person may.

        Args:
            request: The candidate.
            login: Who asks, as Airflow's login says.
            run_actors: Who started, cleared or patched the run.
            digest: The proposal that would be signed; without it, a new one would be made.
        """
        policy, people = self.desk.policy(request.model), self.desk.people()
        allowed, person = policy.break_glass, people.by_login(login)
        if allowed is None:
            return f"Tier {policy.tier} knows no break-glass release of this model."
        if person is None:
            return f"You are not in people.yaml: you may read only. Your login is {login}."
        if not _roles(person, allowed):
            titles = [people.role_title(role) for role in allowed.roles]
            return f"{' or '.join(titles)} may release in an emergency. Who holds which role is in people.yaml."
        refusals = approvals.refusals(person, request.evidence, self._actors(people, run_actors))
        if refusals:
            return f"{refusals[0].sentence} {refusals[0].detail}".strip()
        if digest and self._has_signed(login, request, digest):
            return "You have signed this already: another person must be the next."
        return ""

    def who_may(self, request: Request, run_actors: RunActors, digest: str | None = None) -> list[str]:
        """Return the names of those who may, as :meth:`why_not` and the history of the checkout say.

        Raises:
            RefusedError: The history is missing, so that nobody may.
        """
        authors = self.desk.authors(request.model)
        free = [person for person in self.desk.people().everyone if person.id not in authors]
        return [person.name for person in free if not self.why_not(request, person.login, run_actors, digest)]

    def propose(
        self,
        *,
        login: str,
        model: str,
        version: str,
        evidence: str,
        reason: str,
        until: str,
        role: str | None = None,
        run_actors: RunActors,
    ) -> BreakGlassView:
        """Propose to release a version without all signatures, and sign that as the first.

        Args:
            login: Who proposes, as Airflow's login says.
            model: The model.
            version: The candidate's semantic version.
            evidence: The digest on the person's screen.
            reason: Why it cannot wait; in the record and told to everyone.
            until: The last day on which the permit is valid, ``2027-01-31``.
            role: In which role; needed only by who holds several of those that may.
            run_actors: Who started, cleared or patched the run.

        Raises:
            InputError: The reason or the day cannot be used.
            MayNotSignError: The person may not, with the reason.
            RefusedError: The evidence is another than the one on the screen, nothing waits for signatures, or a
                proposal of this person for it is open.
            UnavailableError: The ledger does not answer; look whether the proposal is there before proposing again.
        """
        request, person, role = self._expect(login, model, version, evidence, role, run_actors)
        self._expect_none_open(request, person)
        text = " ".join(reason.split())
        if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
            raise InputError(
                f"Expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, found {len(text)}: say what "
                f"the emergency is, and why the missing signatures cannot be waited for."
            )
        policy, people, now = self.desk.policy(model), self.desk.people(), datetime.now(UTC)
        longest = policy.break_glass.longest_days if policy.break_glass else 0
        proposal = {
            "format": break_glass.FORMAT,
            **break_glass.binding(request.evidence, policy, people),
            "reason": text,
            "until": last_day(until, now.date(), longest, policy.tier).isoformat(),
            "proposed_by": person.id,
            "proposed_at": now.isoformat(),
        }
        digest = BreakGlass(proposal).digest
        key = f"{break_glass.PROPOSED}:{digest}"
        self.desk.ledger.append(break_glass.PROPOSED, model, {"proposal": proposal}, actor=person.id, key=key)
        self._append_signature(model, digest, person, role)
        return self._found(request, digest)

    def sign(
        self,
        *,
        login: str,
        model: str,
        version: str,
        digest: str,
        role: str | None = None,
        run_actors: RunActors,
    ) -> tuple[BreakGlassView, Entry | None]:
        """Sign a proposal; with the last signature that it takes, issue the permit and open the incident.

        Returns:
            Where the proposal stands, and the entry of the incident that was opened now.

        Raises:
            InputError: There is no such proposal.
            MayNotSignError: The person may not, with the reason.
            RefusedError: It is over or void, or nothing waits for signatures any more.
            UnavailableError: The ledger does not answer; the same signature again is safe.
        """
        request = self.desk.request(model, version)
        found = self._found(request, digest)
        if found.status == "open" and not found.missing and self._has_signed(login, request, digest):
            # It was complete, and the permit could not be written then.
            return self._complete(request, digest, run_actors)
        if found.status != "open":
            raise RefusedError(f"Not signed: this is {found.status}{f', {found.fault}' if found.fault else ''}.")
        if reason := self.why_not(request, login, run_actors, digest):
            raise MayNotSignError(reason)
        request, person, role = self._expect(login, model, version, request.digest, role, run_actors)
        self._append_signature(model, digest, person, role)
        return self._complete(request, digest, run_actors)

    def _expect(
        self, login: str, model: str, version: str, evidence: str, role: str | None, run_actors: RunActors
    ) -> tuple[Request, Person, str]:
        """Return the request, who acts and in which role, where all of it may be.

        Raises:
            MayNotSignError: The person may not.
            RefusedError: Nothing waits for signatures, or the evidence is another one.
        """
        self.desk.expect_signer("people sign")
        request = self.desk.request(model, version)
        if reason := self.why_not(request, login, run_actors):
            raise MayNotSignError(reason)
        self.desk.expect_open(request, evidence)
        person = self.desk.people().by_login(login)
        allowed = self.desk.policy(model).break_glass
        if person is None or allowed is None:  # why_not has said so
            raise MayNotSignError("You may not break the glass.")
        if person.id in self.desk.authors(model):
            raise MayNotSignError(
                "You changed this model's folder, policy or roles: you may not sign it. The history of the checkout "
                "says so."
            )
        held = _roles(person, allowed)
        if role is not None and role not in held:
            raise MayNotSignError(f"You may not sign as {role}. Open to you: {', '.join(held)}.")
        return request, person, role or held[0]

    def _expect_none_open(self, request: Request, person: Person) -> None:
        """Refuse a second proposal of one person for an evidence while the first is open."""
        mine = {one.digest for one in self._of(request) if one.proposal.get("proposed_by") == person.id}
        found = next((one for one in self.views(request) if one.digest in mine and one.status == "open"), None)
        if found is not None:
            raise RefusedError(
                f"Not proposed: your proposal to release {request.model} {request.version} without all signatures is "
                f"open already, until {found.until:%d %b %Y}. Another person signs that one."
            )

    def _append_signature(self, model: str, digest: str, person: Person, role: str) -> None:
        signature = {
            "format": break_glass.SIGNATURE_FORMAT,
            "break_glass": digest,
            "model": model,
            "role": role,
            "person": person.id,
            "signed_at": datetime.now(UTC).isoformat(),
        }
        signed = SignedDecision(signature, self.desk.expect_signer("people sign").sign(signature, break_glass.PURPOSE))
        key = f"{break_glass.SIGNED}:{digest}:{person.id}"
        self.desk.ledger.append(break_glass.SIGNED, model, signed.to_dict(), actor=person.id, key=key)

    def _complete(self, request: Request, digest: str, run_actors: RunActors) -> tuple[BreakGlassView, Entry | None]:
        """Issue the permit once enough people have signed."""
        policy, people = self.desk.policy(request.model), self.desk.people()
        one = next(one for one in self._of(request) if one.digest == digest)
        signed = break_glass.valid_signatures(one, request.evidence, policy, people, self.desk.keys)
        if not break_glass.is_complete(signed, policy):
            return self._found(request, digest), None
        self.desk.expect_open(request, request.digest)
        actors = self._actors(people, run_actors)
        counting = BreakGlass(one.proposal, tuple(each for each in signed if each.decision["person"] not in actors))
        if not break_glass.is_complete(list(counting.signatures), policy):
            raise RefusedError(
                "Recorded, but there is no permit: one of those who signed started, cleared or changed this run, so "
                "that signature is void. Another person may sign."
            )
        entry = self._issue(request, counting, actors)
        issued = entry.data["permit"].get("break_glass")
        opened = incidents.open_break_glass(self.desk.ledger, entry) if issued else None
        return self._found(request, digest), opened if opened is not None and opened.created else None

    def _issue(self, request: Request, one: BreakGlass, actors: Mapping[str, Sequence[str]]) -> Entry:
        policy, people = self.desk.policy(request.model), self.desk.people()
        given = [each for each in self.desk.decisions(request) if each.decision["person"] not in actors]
        issued = permit.issue(
            request.evidence,
            given,
            actors,
            policy,
            people,
            self.desk.expect_signer("people sign"),
            datetime.now(UTC),
            emergency=one,
        )
        last = one.signatures[-1].decision["person"]
        return self.desk.ledger.append("permit", request.model, issued, actor=last, key=f"permit:{request.digest}")

    def _of(self, request: Request) -> list[BreakGlass]:
        return [one for one in break_glass.of_model(self.desk.ledger, request.model) if one.evidence == request.digest]

    def _found(self, request: Request, digest: str) -> BreakGlassView:
        found = next((one for one in self.views(request) if one.digest == digest), None)
        if found is None:
            raise InputError(
                f"Expected a break-glass proposal for {request.model} {request.version} with digest {digest[:16]}…, "
                f"found none."
            )
        return found

    def _view(self, one: BreakGlass, request: Request, policy: Policy, people: People) -> BreakGlassView:
        signed = break_glass.valid_signatures(one, request.evidence, policy, people, self.desk.keys)
        fault = break_glass.fault_of(one, request.evidence, policy, people)
        needed = policy.break_glass.people if policy.break_glass else 0
        return BreakGlassView(
            digest=one.digest,
            reason=str(one.proposal.get("reason", "")),
            until=date.fromisoformat(one.proposal["until"]),
            status=self._status(one, request, fault),
            fault=fault,
            signed=[
                (people.name(each.decision["person"]), people.role_title(each.decision["role"])) for each in signed
            ],
            missing=max(0, needed - len(signed)),
        )

    def _status(self, one: BreakGlass, request: Request, fault: str | None) -> str:
        issued = self.desk.permit_of(request)
        rests_on = break_glass.of_permit(issued) if issued else None
        ended = datetime.now(UTC) >= one.ends
        if rests_on is not None and rests_on.digest == one.digest:
            return "ended" if ended else "in force"
        if ended or request.status != "pending":
            return "ended"
        return "void" if fault or request.outdated else "open"

    def _has_signed(self, login: str, request: Request, digest: str) -> bool:
        person = self.desk.people().by_login(login)
        signed = (each.decision for one in self._of(request) if one.digest == digest for each in one.signatures)
        return person is not None and any(one["person"] == person.id for one in signed)

    def _actors(self, people: People, run_actors: RunActors) -> dict[str, list[str]]:
        return {people.identity(login): list(done) for login, done in run_actors.items() if people.by_login(login)}


def _roles(person: Person, allowed: Allowed) -> list[str]:
    return [role for role in allowed.roles if role in person.roles]
