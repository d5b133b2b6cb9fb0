"""The review desk: what waits for whom, who may sign, and taking a decision.

Runs in the API server only: it holds the review key. Everything it says is folded from the ledger, each time anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from governance.catalog import People, find_spec, model_folders, people_of
from governance.code import code_state
from governance.errors import GovernanceError, InputError, MayNotSignError, RefusedError
from governance.keys import PublicKeys, Signer
from governance.ledger.log import Entry, Ledger
from governance.policy import Policy, load_policy
from governance.review import approvals, break_glass, entries, findings, incidents, permit, standing_approval, waivers
from governance.review.approvals import Refusal, SignedDecision
from governance.review.findings import Finding
from governance.settings import Settings

LONGEST_FINDING = 500

RunActors = Mapping[str, Sequence[str]]
"""Login → what that person did to the run: ``started``, ``cleared``, ``patched``."""


@dataclass(frozen=True)
class DecisionView:
    """One decision, for people to read."""

    person: str
    person_name: str
    role: str
    answer: str
    at: datetime
    verified: bool
    comment: str | None
    confirmed: Sequence[str]
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class RoleState:
    """One role that must sign: how often, who has, who could."""

    role: str
    title: str
    needed: int
    decisions: Sequence[DecisionView]
    eligible: Sequence[str]

    @property
    def complete(self) -> bool:
        """Whether enough people of the role approved."""
        return sum(one.answer == "approve" for one in self.decisions) >= self.needed


@dataclass(frozen=True)
class Request:
    """A candidate that was judged, and where its approval stands.

    ``status`` is ``pending``, ``approved``, ``denied``, ``expired`` or ``blocked``; ``emergency`` says on whose word it
    is approved although signatures are missing, ``in_advance`` on whose it is although nobody signed this evidence.
    """

    model: str
    version: str
    attempt: int
    registry_version: int
    digest: str
    evidence: dict[str, Any]
    run_id: str
    mlflow_run: str | None
    asked_at: datetime
    expires_at: datetime
    status: str
    roles: Sequence[RoleState]
    checklist: Sequence[str]
    people: Mapping[str, str]
    blocked: "Request | None"
    outdated: str | None
    released_at: datetime | None
    ledger_range: tuple[int, int]
    emergency: str | None = None
    in_advance: str | None = None

    @property
    def decisions(self) -> list[DecisionView]:
        """Every decision over this evidence, in the order of the ledger."""
        return sorted((one for role in self.roles for one in role.decisions), key=lambda one: one.at)


@dataclass(frozen=True)
class Standing:
    """Where one person stands towards one request."""

    person: str | None
    person_name: str
    refusals: Sequence[Refusal]
    roles_open: Sequence[str]
    roles_held: Sequence[str]
    signed: bool

    @property
    def may_sign(self) -> bool:
        """Whether this person may decide now."""
        return bool(self.roles_open) and not self.refusals and not self.signed


@dataclass(frozen=True)
class ModelRow:
    """One governed model, for the list of all."""

    name: str
    title: str
    tier: str
    owner: str
    champion: str | None
    permit_until: datetime | None
    last: Request | None
    fault: str | None = None
    stopped: str | None = None
    incidents: int = 0


@dataclass(frozen=True)
class Inbox:
    """What waits for a person, what waits for others, and all models."""

    person_name: str
    roles: Sequence[str]
    waits_for_you: Sequence[Request]
    waits_for_others: Sequence[Request]
    models: Sequence[ModelRow]


class ReviewDesk:
    """Reads requests and takes decisions."""

    def __init__(self, settings: Settings, ledger: Ledger, keys: PublicKeys, signer: Signer | None) -> None:
        self.settings = settings
        self.ledger = ledger
        self.keys = keys
        self.signer = signer

    def expect_signer(self, what: str) -> Signer:
        """Return the review key.

        Raises:
            GovernanceError: This process has none; ``what`` says what is done where it is.
        """
        if self.signer is None:
            raise GovernanceError(f"This process has no review key: {what} in Airflow's API server only.")
        return self.signer

    def people(self) -> People:
        """Return the people in force, read anew: the file is the authority."""
        return people_of(self.settings)

    def inbox(self, login: str, run_actors: Mapping[str, RunActors] | None = None) -> Inbox:
        """Return what waits, soonest first; ``run_actors`` by run id where the caller knows them."""
        people = self.people()
        person = people.by_login(login)
        now = datetime.now(UTC)
        open_ = (one for one in self._last_attempts() if datetime.fromisoformat(one.data["expires_at"]) > now)
        requests = (self._request(one) for one in open_)
        pending = sorted((one for one in requests if one.status == "pending"), key=lambda one: one.expires_at)
        unclosed = incidents.open_by_model(self.ledger, self.keys)
        mine = [one for one in pending if self.standing(one, login, (run_actors or {}).get(one.run_id, {})).may_sign]
        return Inbox(
            person_name=person.name if person else login,
            roles=[people.role_title(role) for role in person.roles] if person else [],
            waits_for_you=mine,
            waits_for_others=[one for one in pending if one not in mine],
            models=[self._row(folder.name, unclosed[folder.name]) for folder in model_folders(self.settings)],
        )

    def latest(self, model: str | None = None) -> list[Request]:
        """Return the last attempt of each version, newest first."""
        return [self._request(entry) for entry in self._last_attempts(model)]

    def request(self, model: str, version: str, attempt: int | None = None) -> Request:
        """Return one request.

        Raises:
            InputError: There is no evidence of that version.
        """
        for entry in self.ledger.backwards("evidence", model):
            said = entry.data["evidence"]["model"]
            if said["version"] == version and attempt in (None, said["attempt"]):
                return self._request(entry)
        raise InputError(f"Expected evidence of {model} {version} in the ledger, found none. Run govern_{model}.")

    def standing(self, request: Request, login: str, run_actors: RunActors) -> Standing:
        """Say whether a person may decide, in which role, and why not."""
        people = self.people()
        person = people.by_login(login)
        if person is None:
            sentence = "You are not in people.yaml: you may read, not sign."
            refusal = Refusal("unknown", sentence, f"Your login is {login}.")
            return Standing(None, login, [refusal], [], [], signed=False)
        signed = any(one.person == person.id for one in request.decisions)
        lacking = [role.role for role in request.roles if not role.complete]
        open_roles = [role for role in lacking if role in person.roles and request.status == "pending"]
        reasons = approvals.refusals(person, request.evidence, self._by_id(people, run_actors))
        if not person.roles or not set(person.roles) & {role.role for role in request.roles}:
            titles = " and ".join(role.title for role in request.roles)
            sentence = (
                f"{titles} sign this: you hold neither role." if len(request.roles) > 1 else f"{titles} signs this."
            )
            reasons = [*reasons, Refusal("role", sentence, "Who holds which role is written in people.yaml.")]
        if signed:
            reasons = [*reasons, Refusal("signed", "You have decided already: nobody decides twice.", "")]
        return Standing(person.id, person.name, reasons, open_roles, person.roles, signed)

    def decide(
        self,
        *,
        login: str,
        model: str,
        version: str,
        evidence: str,
        answer: str,
        confirmed: Sequence[str],
        comment: str,
        role: str | None = None,
        run_actors: RunActors | None = None,
        conditions: Sequence[Mapping[str, str]] = (),
    ) -> Request:
        """Take a decision: check, sign, append, and issue the permit when it completes the quorum.

        Args:
            login: Who decides, as Airflow's login says.
            model: The model.
            version: The candidate's semantic version.
            evidence: The digest on the person's screen.
            answer: ``approve`` or ``reject``.
            confirmed: The points of the checklist that were confirmed; all of them, to approve.
            comment: Kept apart from the ledger, erasable; required to reject.
            role: In which role; needed only by a person who holds several that are open.
            run_actors: Who started, cleared or patched the run.
            conditions: Findings to approve with: ``text``, ``owner`` (a login) and ``due`` (a date) of each.

        Raises:
            InputError: A point is not confirmed, a comment is missing, a finding cannot be followed up.
            MayNotSignError: The person may not, with the rule and the fact.
            RefusedError: The evidence is another than the one on the screen, nothing is open any more, or the
                signature that completes the quorum finds another one void.
            UnavailableError: The ledger does not answer; the same decision again is safe, and goes on where it ended.
        """
        signer = self.expect_signer("decisions are taken")
        request = self.request(model, version)
        self.expect_open(request, evidence)
        people = self.people()
        actors = self._by_id(people, run_actors or {})
        if self._is_unfinished(request, login, answer):
            return self._complete_permit(model, version, actors)
        standing = self.standing(request, login, run_actors or {})
        as_role = self._role(request, standing, role)
        self._expect_no_author(request, standing)
        _complete(answer, confirmed, comment, request.checklist)
        written = self._conditions(answer, conditions)
        decision = self._decision(request, standing, as_role, answer, confirmed, comment)
        decision["findings"] = written
        entry = self.ledger.append(
            "decision",
            model,
            SignedDecision(decision, signer.sign(decision, approvals.PURPOSE)).to_dict(),
            actor=str(standing.person),
            key=f"decision:{request.digest}:{standing.person}",
        )
        if not entry.created:
            raise MayNotSignError("You have decided already: nobody decides twice.")
        return self._complete_permit(model, version, actors)

    def _is_unfinished(self, request: Request, login: str, answer: str) -> bool:
        """Whether this person has approved, everybody has signed, and the permit could not be written then."""
        person = self.people().by_login(login)
        signed = person is not None and any(one.person == person.id for one in request.decisions)
        return signed and answer == "approve" and all(role.complete for role in request.roles)

    def _conditions(self, answer: str, written: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """Return findings as a decision holds them: the owner by id, the text on one line."""
        if written and answer != "approve":
            raise InputError("Findings belong to an approval: a reject ends the request, and says why in its comment.")
        return [_condition(self.people(), one, datetime.now(UTC).date()) for one in written]

    def _expect_no_author(self, request: Request, standing: Standing) -> None:
        """Refuse who wrote the code.

        Raises:
            MayNotSignError: The person is an author of a change since the champion.
            RefusedError: There is no history to answer from, and the policy blocks on that.
        """
        if standing.person in self.authors(request.model):
            raise MayNotSignError(
                "You changed this model's folder, policy or roles: you may not sign it. The history of the checkout "
                "says so."
            )

    def authors(self, model: str) -> frozenset[str]:
        """Ask the history of this process's own checkout who wrote the code: the evidence is the worker's word.

        Returns:
            Pseudonymous ids of who changed the model's folder, the policies or the people since the champion.

        Raises:
            RefusedError: There is no history to answer from, and the policy blocks on that.
        """
        spec, policy = find_spec(self.settings, model), self.policy(model)
        champion = entries.last_served(self.ledger, model)
        since = None
        if champion is not None:
            since = entries.evidence_entry(self.ledger, model, champion.data["evidence"]).data["evidence"]
        state = code_state(self.settings, spec, since=since["code"]["commit"] if since else None)
        if not state.history and policy.unknown_authors == "block":
            raise RefusedError(
                "Not signed: the checkout of this API server has no history, so nobody can tell who wrote the code. "
                "Give it a full clone, or the authorship file of its image (python -m governance.code)."
            )
        people = self.people()
        return frozenset(person.id for one in state.authors if (person := people.by_email(one.email)))

    def _decision(
        self, request: Request, standing: Standing, role: str, answer: str, confirmed: Sequence[str], comment: str
    ) -> dict[str, Any]:
        policy = self.policy(request.model)
        kept = self.ledger.keep(comment.strip()) if comment.strip() else None
        return {
            "format": approvals.FORMAT,
            "evidence": request.digest,
            "model": request.model,
            "version": request.version,
            "registry_version": request.registry_version,
            "environment": request.evidence["model"]["environment"],
            "policy": policy.digest,
            "people": self.people().digest,
            "spec": find_spec(self.settings, request.model).digest,
            "role": role,
            "person": standing.person,
            "answer": answer,
            "confirmed": list(confirmed),
            "comment": kept,
            "decided_at": datetime.now(UTC).isoformat(),
        }

    def _complete_permit(self, model: str, version: str, actors: Mapping[str, Sequence[str]]) -> Request:
        request = self.request(model, version)
        policy, people = self.policy(model), self.people()
        decisions = self._decisions(request.digest, request.evidence, policy, people)
        if approvals.status_of(decisions, policy) != "approved" or self.signer is None:
            return request
        void = [one.decision for one in decisions if one.decision["person"] in actors]
        if void:
            done = " and ".join(actors[void[0]["person"]])
            raise RefusedError(
                f"Your signature is recorded, but there is no permit: {people.name(void[0]['person'])}, who signed as "
                f"{people.role_title(void[0]['role'])}, {done} this run, so that signature is void. "
                f"Run govern_{model} again."
            )
        issued = permit.issue(request.evidence, decisions, actors, policy, people, self.signer, datetime.now(UTC))
        last = decisions[-1].decision["person"]
        self.ledger.append("permit", model, issued, actor=last, key=f"permit:{request.digest}")
        return self.request(model, version)

    def permit_of(self, request: Request) -> dict[str, Any] | None:
        """Return the permit over a request's evidence, if there is one, its signature checked."""
        return self._permit(request.digest)

    def decisions(self, request: Request) -> list[SignedDecision]:
        """Return the decisions over a request's evidence that count."""
        policy, people = self.policy(request.model), self.people()
        return self._decisions(request.digest, request.evidence, policy, people)

    def expect_open(self, request: Request, evidence: str) -> None:
        """Refuse where nothing waits for signatures any more, or another evidence does than the one on the screen.

        Raises:
            RefusedError: Says what changed.
        """
        if evidence != request.digest:
            raise RefusedError(
                f"Not signed: the evidence changed while you read it. "
                f"On your screen {evidence[:8]}, now {request.digest[:8]}. Signatures over the old evidence are void."
            )
        if request.status != "pending":
            raise RefusedError(f"Not signed: {request.model} {request.version} is {request.status} already.")
        if request.outdated:
            raise RefusedError(f"Not signed: {request.outdated}")

    def _role(self, request: Request, standing: Standing, role: str | None) -> str:
        if standing.refusals:
            first = standing.refusals[0]
            raise MayNotSignError(f"{first.sentence} {first.detail}".strip())
        if not standing.roles_open:
            raise MayNotSignError("Your role has signed already: nothing is missing from it.")
        if role is None and len(standing.roles_open) > 1:
            raise InputError(f"Say in which role you sign: {', '.join(standing.roles_open)}.")
        if role is None:
            return standing.roles_open[0]
        if role not in standing.roles_open:
            raise MayNotSignError(f"You may not sign as {role}. Open to you: {', '.join(standing.roles_open)}.")
        return role

    def _request(self, entry: Entry, *, with_blocked: bool = True) -> Request:
        document, data = entry.data["evidence"], entry.data
        policy, people = self.policy(entry.subject), self.people()
        decisions = self._decisions(data["digest"], document, policy, people)
        releases = self.ledger.find("release", entry.subject, entry.seq)
        released = next((one.at for one in releases if one.data["evidence"] == data["digest"]), None)
        replaced = document["replaces"] if with_blocked else None
        return Request(
            model=entry.subject,
            version=document["model"]["version"],
            attempt=document["model"]["attempt"],
            registry_version=document["model"]["registry_version"],
            digest=data["digest"],
            evidence=document,
            run_id=data["run_id"],
            mlflow_run=data.get("mlflow_run"),
            asked_at=entry.at,
            expires_at=datetime.fromisoformat(data["expires_at"]),
            status=self._status(data, document, decisions, policy),
            roles=[
                self._role_state(role, needed, decisions, document, people)
                for role, needed in policy.approvals.roles.items()
            ],
            checklist=policy.approvals.checklist,
            people={person.id: person.name for person in people.everyone},
            blocked=self._by_digest(entry.subject, replaced["evidence"]) if replaced else None,
            outdated=self._outdated(document, policy, people),
            released_at=released,
            ledger_range=self._range(entry),
            emergency=self._emergency(data["digest"], people),
            in_advance=self._in_advance(data["digest"], people),
        )

    def _status(
        self, data: Mapping[str, Any], document: dict[str, Any], decisions: Sequence[SignedDecision], policy: Policy
    ) -> str:
        if any(rule["stops"] for rule in document["verdict"]["rules"]):
            return "blocked"
        if self._permit(data["digest"]):
            return "approved"
        status = approvals.status_of(decisions, policy)
        status = "pending" if status == "approved" else status  # the quorum counts once the permit is written
        late = datetime.now(UTC) >= datetime.fromisoformat(data["expires_at"])
        return "expired" if late and status == "pending" else status

    def _outdated(self, document: dict[str, Any], policy: Policy, people: People) -> str | None:
        """Say what changed in the reviewed files since the evidence was written; it then cannot be signed."""
        spec = find_spec(self.settings, document["model"]["name"])
        at = datetime.now(UTC)
        ended = waivers.ended_since(self.ledger, document, policy, people, self.keys, at)
        late = findings.overdue(findings.of_model(self.ledger, policy.model, self.keys), at)
        for name, now, then in (
            ("the policy", policy.digest, document["policy"]["digest"]),
            ("people.yaml", people.digest, document["people"]["digest"]),
            ("model.yaml", spec.digest, document["spec"]["digest"]),
        ):
            if now != then:
                return f"{name} changed since this evidence was written ({then[:8]}, now {now[:8]}). Run govern again."
        if ended:
            return f"{ended}, and the verdict rests on it. Run govern again."
        if late and policy.overdue_findings == "block":
            return (
                f"finding {late[0].id} of {late[0].version} is overdue: {late[0].text} Close it, and run govern again."
            )
        return None

    def _role_state(
        self, role: str, needed: int, decisions: Sequence[SignedDecision], document: dict[str, Any], people: People
    ) -> RoleState:
        mine = [one for one in decisions if one.decision["role"] == role]
        signed = {one.decision["person"] for one in decisions}
        free = [p for p in people.holders(role) if p.id not in signed and not approvals.refusals(p, document)]
        views = [self._view(one, people) for one in mine]
        return RoleState(role, people.role_title(role), needed, views, [person.name for person in free])

    def _view(self, one: SignedDecision, people: People) -> DecisionView:
        kept = one.decision["comment"]
        return DecisionView(
            person=one.decision["person"],
            person_name=people.name(one.decision["person"]),
            role=one.decision["role"],
            answer=one.decision["answer"],
            at=datetime.fromisoformat(one.decision["decided_at"]),
            verified=True,
            comment=self.ledger.recall(kept["id"]) if kept else None,
            confirmed=one.decision["confirmed"],
            findings=findings.of_decision(one.decision),
        )

    def _decisions(self, digest: str, document: dict[str, Any], policy: Policy, people: People) -> list[SignedDecision]:
        """Return the valid decisions; those of a permit stay valid when a file in force changes later."""
        issued = self._permit(digest)
        if issued:
            return [SignedDecision.from_dict(one) for one in issued["decisions"]]
        entries = self.ledger.find("decision", document["model"]["name"])
        signed = [SignedDecision.from_dict(entry.data) for entry in entries]
        return approvals.valid_decisions(signed, digest, document, policy, people, self.keys)

    def _permit(self, digest: str) -> dict[str, Any] | None:
        entry = self.ledger.get(f"permit:{digest}")
        if entry is None:
            return None
        issued: dict[str, Any] = entry.data["permit"]
        self.keys.verify(issued, entry.data["signature"], permit.PURPOSE, approvals.KEY)
        return issued

    def _emergency(self, digest: str, people: People) -> str | None:
        issued = self._permit(digest)
        one = break_glass.of_permit(issued) if issued else None
        return break_glass.sentence(one, people) if one else None

    def _in_advance(self, digest: str, people: People) -> str | None:
        issued = self._permit(digest)
        use = standing_approval.of_permit(issued) if issued else None
        return standing_approval.sentence(use, people) if use else None

    def _by_digest(self, model: str, digest: str) -> Request | None:
        found = next((one for one in self.ledger.backwards("evidence", model) if one.data["digest"] == digest), None)
        return self._request(found, with_blocked=False) if found else None

    def _last_attempts(self, model: str | None = None) -> Iterator[Entry]:
        """Yield the last evidence of each version, newest first."""
        seen: set[tuple[str, str]] = set()
        for entry in self.ledger.backwards("evidence", model):
            version = (entry.subject, entry.data["evidence"]["model"]["version"])
            if version not in seen:
                seen.add(version)
                yield entry

    def _range(self, evidence: Entry) -> tuple[int, int]:
        """Return the first and the last entry that concern a run, as far as they can be told."""
        run = self.ledger.get(f"run:{evidence.subject}:{evidence.data['run_id']}")
        last = self.ledger.find(subject=evidence.subject, newest_first=True, limit=1)
        return run.seq if run else evidence.seq, last[0].seq

    def _row(self, name: str, incidents: int) -> ModelRow:
        try:
            spec = find_spec(self.settings, name)
            last = next(self._last_attempts(name), None)
            request = self._request(last) if last else None
        except GovernanceError as error:
            return ModelRow(name, name, "–", "–", None, None, None, fault=str(error), incidents=incidents)
        served = entries.champion_entry(self.ledger, name)
        champion = served.data if served else None
        until = datetime.fromisoformat(champion["permit_expires_at"]) if champion else None
        halt = entries.halt_of(self.ledger, name) if served is None else None
        return ModelRow(
            name,
            spec.title,
            spec.tier,
            spec.owner.team,
            champion["version"] if champion else None,
            until,
            request,
            stopped=halt.sentence if halt else None,
            incidents=incidents,
        )

    def policy(self, model: str) -> Policy:
        """Return a model's policy in force."""
        return load_policy(self.settings.models / model, self.settings.policies)

    def _by_id(self, people: People, run_actors: RunActors) -> dict[str, list[str]]:
        return {people.identity(login): list(done) for login, done in run_actors.items() if people.by_login(login)}


def _condition(people: People, written: Mapping[str, str], today: date) -> dict[str, str]:
    text, owner = " ".join(written["text"].split()), people.by_login(written["owner"])
    if not 10 <= len(text) <= LONGEST_FINDING:
        raise InputError(f"Expected a finding in a sentence of at most {LONGEST_FINDING} characters, found {text!r}.")
    if owner is None:
        raise InputError(f"Expected the login of who mends it, found {written['owner']!r}: not in people.yaml.")
    try:
        due = date.fromisoformat(written["due"])
    except ValueError as error:
        raise InputError(f"Expected a due date such as 2027-01-31, found {written['due']!r}.") from error
    if due <= today:
        raise InputError(f"Expected a due date after today, found {due}: it would be overdue at once.")
    return {"text": text, "owner": owner.id, "due": due.isoformat()}


def _complete(answer: str, confirmed: Sequence[str], comment: str, checklist: Sequence[str]) -> None:
    if answer not in ("approve", "reject"):
        raise InputError(f"Expected approve or reject, found {answer!r}.")
    if answer == "reject" and not comment.strip():
        raise InputError("A reject needs a comment: the developers read it.")
    strange = [point for point in confirmed if point not in checklist]
    if strange:
        raise InputError(f"Expected points of the checklist to be confirmed, found another: {strange[0][:100]!r}.")
    left = [point for point in checklist if point not in confirmed]
    if answer == "approve" and left:
        raise InputError(f"Confirm {len(left)} more point{'s' if len(left) > 1 else ''} to approve: {left[0]}")
