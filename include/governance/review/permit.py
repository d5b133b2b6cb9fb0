"""The permit: evidence and decisions, verifiable offline.

The release task and the scoring service demand one. Its verifier needs the bundle, the public keys and a clock; no
Airflow, no database, no network. Roles and limits come from the policy and people files whose digests the evidence
names and every signature repeats, never from the evidence's own claims (§10.4); the verdict is not believed but
repeated from the signed measurements.

Not covered here: whether the bytes of a model are the permitted ones (:mod:`governance.training.artifacts`), and
whether a reject reached the ledger before the permit (:mod:`governance.release.verify`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from governance import canonical
from governance.catalog import ModelSpec, People, load_people, spec_from_bytes
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys, Signer
from governance.policy import Policy, Slices, digest_of_files, judge, policy_from_bytes
from governance.records import Measurement, Verdict, Waiver
from governance.review import approvals, break_glass, evidence, standing_approval, waivers
from governance.review.approvals import SignedDecision
from governance.review.break_glass import BreakGlass
from governance.review.standing_approval import Use

FORMAT = "governance-permit/1"
PURPOSE = "permit"

Json = dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """Everything that a permit is verified from, as bytes.

    Attributes:
        evidence: Canonical bytes of the evidence.
        permit: Canonical bytes of ``{"permit": …, "signature": …}``.
        policy: The model's policy, as it was signed under.
        tier: The tier's policy, likewise.
        people: ``people.yaml``, likewise.
        spec: ``model.yaml``, likewise.
    """

    evidence: bytes
    permit: bytes
    policy: bytes
    tier: bytes
    people: bytes
    spec: bytes

    NAMES = ("evidence.json", "permit.json", "policy.yaml", "tier.yaml", "people.yaml", "model.yaml")

    def files(self) -> dict[str, bytes]:
        """Return file name → bytes."""
        parts = (self.evidence, self.permit, self.policy, self.tier, self.people, self.spec)
        return dict(zip(self.NAMES, parts, strict=True))

    @classmethod
    def read(cls, folder: Path) -> "Bundle":
        """Read a bundle from a folder.

        Raises:
            NotPermittedError: A file of it is missing.
        """
        try:
            return cls(*((folder / name).read_bytes() for name in cls.NAMES))
        except OSError as error:
            missing = Path(error.filename or folder).name
            raise NotPermittedError(
                f"Expected a permit with {', '.join(cls.NAMES)}, found no {missing}: nobody permitted this version. "
                f"Release it through govern_<model>."
            ) from error


@dataclass(frozen=True)
class Permit:
    """A permit that was verified.

    Attributes:
        model: The model's name.
        version: Semantic version.
        registry_version: Version in MLflow's registry.
        environment: What it is valid for.
        evidence_digest: What was signed.
        manifest: Digest of the permitted model files.
        issued_at: When the last signature completed it.
        expires_at: When it ends.
        decisions: The signatures.
        evidence: The evidence itself.
        verdict: The verdict, repeated.
        people: Who was who when it was signed.
        policy: The policy it was signed under.
        emergency: What it rests on where signatures are missing.
        standing: The standing approval that it rests on where nobody signed this very evidence.
    """

    model: str
    version: str
    registry_version: int
    environment: str
    evidence_digest: str
    manifest: str
    issued_at: datetime
    expires_at: datetime
    decisions: Sequence[SignedDecision]
    evidence: Json
    verdict: Verdict
    people: People
    policy: Policy
    emergency: BreakGlass | None = None
    standing: Use | None = None


def issue(
    evidence_document: Json,
    decisions: Sequence[SignedDecision],
    run_actors: Mapping[str, Sequence[str]],
    policy: Policy,
    people: People,
    signer: Signer,
    now: datetime,
    emergency: BreakGlass | None = None,
    standing: Use | None = None,
) -> Json:
    """Sign a permit: ``{"permit": …, "signature": …}``.

    It lasts as long as the policy says, and no longer than the first waiver that the verdict rests on, or than what
    stands in for missing signatures: an emergency, or a standing approval (whose own signatures :func:`verify` checks).

    Raises:
        NotPermittedError: The quorum is not complete, or a waiver or what stands in for it has ended.
    """
    missing = approvals.missing_roles(decisions, policy)
    status = approvals.status_of(decisions, policy)
    if status == "denied" or (emergency is None and standing is None and (missing or status != "approved")):
        raise NotPermittedError(f"Expected the quorum of every role, found {missing} missing.")
    waived = waivers.first_end(evidence_document)
    if waived is not None and waived <= now:
        raise NotPermittedError(f"A waiver that this verdict rests on ended on {waived:%d %b %Y %H:%M} UTC.")
    ends = [now + timedelta(days=policy.permit.valid_days), *([waived] if waived else [])]
    ends += [emergency.ends] if emergency else []
    ends += [standing.standing.permits_end] if standing else []
    permit = {
        "format": FORMAT,
        "model": evidence_document["model"]["name"],
        "version": evidence_document["model"]["version"],
        "registry_version": evidence_document["model"]["registry_version"],
        "environment": evidence_document["model"]["environment"],
        "evidence": evidence.digest_of(evidence_document),
        "manifest": evidence_document["artifact"]["manifest"],
        "policy": policy.digest,
        "people": people.digest,
        "spec": evidence_document["spec"]["digest"],
        "run_actors": {person: list(done) for person, done in sorted(run_actors.items())},
        "decisions": [one.to_dict() for one in decisions],
        "issued_at": now.isoformat(),
        "expires_at": min(ends).isoformat(),
        **({"break_glass": emergency.to_dict()} if emergency else {}),
        **({"standing_approval": standing.to_dict()} if standing else {}),
    }
    return {"permit": permit, "signature": signer.sign(permit, PURPOSE)}


def verify(bundle: Bundle, keys: PublicKeys, environment: str, now: datetime) -> Permit:
    """Verify a permit from bytes alone.

    Raises:
        TamperedError: A byte is not what was signed.
        NotPermittedError: The permit does not permit: blocked, quorum, person, environment, time.
    """
    permit = _signed_permit(bundle, keys)
    document = _canonical_evidence(bundle)
    digest = canonical.digest_of_bytes(bundle.evidence)
    _expect("the evidence's digest", permit["evidence"], digest)
    policy, people, spec = _files_in_force(bundle, document, permit)
    _bound_to(document, permit, environment)
    issued, expires = (datetime.fromisoformat(permit[name]) for name in ("issued_at", "expires_at"))
    verdict = _repeat_verdict(document, policy, spec, _waivers(document, policy, people, keys, issued), issued)
    emergency = break_glass.expect_permitted(permit, document, policy, people, keys)
    standing = standing_approval.expect_permitted(permit, document, policy, people, spec, keys)
    stood_in = emergency is not None or standing is not None
    decisions = _quorum(document, digest, permit, policy, people, keys, stood_in=stood_in)
    if expires > issued + timedelta(days=policy.permit.valid_days):
        raise NotPermittedError(f"This permit lasts longer than the policy's {policy.permit.valid_days} days.")
    ends = waivers.first_end(document)
    if ends is not None and expires > ends:
        raise NotPermittedError(f"This permit lasts longer than the waiver that it rests on, until {ends:%d %b %Y}.")
    if now >= expires:
        raise NotPermittedError(f"The permit of {permit['model']} {permit['version']} ended on {expires:%d %b %Y}.")
    return Permit(
        model=permit["model"],
        version=permit["version"],
        registry_version=permit["registry_version"],
        environment=permit["environment"],
        evidence_digest=digest,
        manifest=permit["manifest"],
        issued_at=issued,
        expires_at=expires,
        decisions=decisions,
        evidence=document,
        verdict=verdict,
        people=people,
        policy=policy,
        emergency=emergency,
        standing=standing,
    )


def word_for_missing_signatures(permit: Mapping[str, Any], people: People) -> str | None:
    """Say on whose word a permit rests where its quorum is not complete; ``None`` where people signed the evidence."""
    emergency, use = break_glass.of_permit(permit), standing_approval.of_permit(permit)
    if emergency is not None:
        return break_glass.sentence(emergency, people)
    return standing_approval.sentence(use, people) if use is not None else None


def _signed_permit(bundle: Bundle, keys: PublicKeys) -> Json:
    signed = canonical.from_bytes(bundle.permit)
    if not isinstance(signed, dict) or signed.keys() != {"permit", "signature"} or type(signed["permit"]) is not dict:
        raise TamperedError("Expected a permit and its signature in permit.json, found something else.")
    permit: Json = signed["permit"]
    keys.verify(permit, str(signed["signature"]), PURPOSE, approvals.KEY)
    if permit.get("format") != FORMAT:
        raise TamperedError(f"Expected a permit of format {FORMAT}, found {permit.get('format')}.")
    return permit


def _canonical_evidence(bundle: Bundle) -> Json:
    document = canonical.from_bytes(bundle.evidence)
    if not isinstance(document, dict) or document.get("format") != evidence.FORMAT:
        raise TamperedError(f"Expected evidence of format {evidence.FORMAT}, found something else.")
    return document


def _files_in_force(bundle: Bundle, document: Json, permit: Json) -> tuple[Policy, People, ModelSpec]:
    """Compare every file with its digest before anything in it is believed, or even parsed."""
    for what, found, part in (
        ("model.yaml", canonical.digest_of_bytes(bundle.spec), "spec"),
        ("the policy", digest_of_files(bundle.policy, bundle.tier), "policy"),
        ("people.yaml", canonical.digest_of_bytes(bundle.people), "people"),
    ):
        _expect(f"the digest of {what} in the evidence", document[part]["digest"], found)
        _expect(f"the digest of {what} in the permit", permit[part], found)
    policy = policy_from_bytes(bundle.policy, bundle.tier)
    people = load_people(Path("people.yaml"), bundle.people)
    spec = spec_from_bytes(bundle.spec)
    developers = [people.identity(login) for login in spec.developers]
    _expect("the developers", developers, document["involved"]["developers"])
    _expect("the model of the policy", (spec.name, spec.tier), (policy.model, policy.tier))
    return policy, people, spec


def _bound_to(document: Json, permit: Json, environment: str) -> None:
    model = document["model"]
    for what, in_permit, in_evidence in (
        ("the model", permit["model"], model["name"]),
        ("the version", permit["version"], model["version"]),
        ("the registry version", permit["registry_version"], model["registry_version"]),
        ("the model files", permit["manifest"], document["artifact"]["manifest"]),
        ("the environment", permit["environment"], model["environment"]),
    ):
        _expect(what, in_permit, in_evidence)
    if permit["environment"] != environment:
        raise NotPermittedError(f"Expected a permit for {environment}, found one for {permit['environment']}.")


def _waivers(document: Json, policy: Policy, people: People, keys: PublicKeys, at: datetime) -> list[Waiver]:
    """Check every waiver from its own signatures, by the roles and limits of the files in force."""
    listed = waivers.of_evidence(document)
    found = waivers.in_force(listed, waivers.Involved.of(document["involved"]), policy, people, keys, at)
    if len(found) != len(listed):
        raise NotPermittedError(f"Of {len(listed)} waivers in the evidence only {len(found)} count.")
    return found


def _repeat_verdict(document: Json, policy: Policy, spec: ModelSpec, signed: Sequence[Waiver], at: datetime) -> Verdict:
    measurements = [Measurement.from_dict(one) for one in document["measurements"]]
    verdict = judge(policy, Slices.of(spec, document.get("training")), measurements, waivers=signed, at=at)
    if canonical.digest(verdict.to_dict()) != canonical.digest(document["verdict"]):
        raise TamperedError(
            "The policy, applied to the signed measurements, gives another verdict than the evidence says."
        )
    if not verdict.may_be_released:
        failing = ", ".join(rule.rule for rule in verdict.failing())
        raise NotPermittedError(f"The policy stops this version: {failing or 'no rule was judged'}.")
    return verdict


def _quorum(
    document: Json,
    digest: str,
    permit: Json,
    policy: Policy,
    people: People,
    keys: PublicKeys,
    *,
    stood_in: bool,
) -> list[SignedDecision]:
    signed = [SignedDecision.from_dict(one) for one in permit["decisions"]]
    decisions = approvals.valid_decisions(signed, digest, document, policy, people, keys)
    if len(decisions) != len(signed):
        raise NotPermittedError(f"Of {len(signed)} decisions in the permit only {len(decisions)} are valid.")
    actors = set(permit["run_actors"])
    if any(one.decision["person"] in actors for one in decisions):
        raise NotPermittedError("A person who started, cleared or patched the run is among those who signed.")
    missing, status = approvals.missing_roles(decisions, policy), approvals.status_of(decisions, policy)
    if status == "denied" or (missing and not stood_in):
        lacking = ", ".join(f"{count} × {people.role_title(role)}" for role, count in missing.items())
        raise NotPermittedError(f"Signatures are missing: {'somebody rejected' if status == 'denied' else lacking}.")
    return decisions


def _expect(what: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise TamperedError(
            f"Expected {what} {str(expected)[:16]}, found {str(found)[:16]}: changed after it was signed."
        )
