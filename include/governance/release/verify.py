"""What must hold before ``champion`` is moved: everything that people signed for, recomputed from the bytes.

Nothing that Airflow says counts here: not the state of the approval task, not its XCom. The permit in the ledger does,
and what it names must be what lies in MLflow, in the snapshot and in the checkout, byte for byte.

Not guaranteed: that the bytes stay so. The scoring service verifies them again when it loads them.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from governance import canonical
from governance.canonical import digest_of_bytes
from governance.catalog import find_spec
from governance.data import snapshots
from governance.data.erasures import as_it_is
from governance.data.snapshots import Snapshot
from governance.errors import NotPermittedError, RefusedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger import verify as ledger_verify
from governance.ledger.log import Entry, Ledger
from governance.release import bundle, changes
from governance.release.bundle import PermitFiles
from governance.release.loading import Permitted, Wanted, load_permitted
from governance.release.registry import PERMIT_FOLDER
from governance.review import entries, findings, standing_approval, waivers
from governance.review.permit import Permit
from governance.settings import Settings
from governance.training.tracking import EVIDENCE_FILE

Json = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """What is to be released, as the ledger has it.

    Attributes:
        evidence: The entry of the evidence.
        permit: The entry of the permit.
        files: What a permit is verified from: the ledger's bytes and the files in force.
    """

    evidence: Entry
    permit: Entry
    files: PermitFiles

    @property
    def document(self) -> Json:
        """The evidence itself."""
        found: Json = self.evidence.data["evidence"]
        return found

    @property
    def digest(self) -> str:
        """Digest of the evidence."""
        return str(self.evidence.data["digest"])

    @property
    def registry_version(self) -> int:
        """Version in MLflow's registry."""
        return int(self.document["model"]["registry_version"])


@dataclass(frozen=True)
class Verified:
    """What was found to be right.

    Attributes:
        candidate: What is to be released.
        permitted: The model, loaded from the verified bytes.
        snapshot: The verified snapshot it was trained on.
    """

    candidate: Candidate
    permitted: Permitted
    snapshot: Snapshot


def candidate_to_release(settings: Settings, ledger: Ledger, model: str, digest: str, now: datetime) -> Candidate:
    """Check the record: ledger, evidence, decisions, permit, and the files in force.

    Raises:
        TamperedError: The ledger is not whole, or something in force is not what was signed.
        NotPermittedError: There is no permit, somebody rejected, or the permit does not permit.
    """
    expect_whole(ledger)
    evidence, permit = _recorded(ledger, model, digest)
    spec = find_spec(settings, model)
    changes.expect_unchanged(settings, spec, evidence.data["evidence"])
    files = bundle.assemble(settings, ledger, spec, digest)
    keys = PublicKeys.from_folder(settings.public_keys)
    permitted = bundle.verify(files, keys, settings.environment, now)
    _expect_nothing_since(ledger, permitted, keys, now)
    return Candidate(evidence, permit, files)


def candidate_to_restore(
    settings: Settings, ledger: Ledger, model: str, digest: str, folder: Path, now: datetime
) -> Candidate:
    """Check the record of a version that served before.

    The files are those that its permit was issued over and that its release put beside it, not those in force: a later
    policy, spec or commit does not void an earlier permit. Overdue findings hold up what is new, not the way back.

    Args:
        settings: Where things are.
        ledger: The record; whether it is whole is the caller's to ask (:func:`expect_whole`).
        model: The model's name.
        digest: Digest of the evidence.
        folder: ``model/``, ``permit/`` and ``evidence/`` as fetched from MLflow.
        now: The moment that the permit must cover.

    Raises:
        TamperedError: Something in MLflow is not what the ledger has or what was signed.
        NotPermittedError: There is no permit, somebody rejected or revoked it, or it does not permit.
    """
    evidence, permit = _recorded(ledger, model, digest)
    candidate = Candidate(evidence, permit, bundle.read(folder / PERMIT_FOLDER))
    _expect_as_recorded(candidate)
    expect_same_files(candidate, folder)
    keys = PublicKeys.from_folder(settings.public_keys)
    permitted = bundle.verify(candidate.files, keys, settings.environment, now)
    _expect_waivers(ledger, permitted, keys, now)
    return candidate


def verify_release(settings: Settings, ledger: Ledger, candidate: Candidate, folder: Path, now: datetime) -> Verified:
    """Check the bytes: model files and permit, as fetched from MLflow, and the snapshot.

    Args:
        settings: Where things are.
        ledger: The record.
        candidate: What is to be released.
        folder: ``model/`` as fetched, and ``permit/`` (see :func:`expect_same_files`).
        now: The moment that the permit must cover.

    Raises:
        TamperedError: A byte is not what was signed; the message names the file.
        NotPermittedError: The permit does not permit.
    """
    model = candidate.evidence.subject
    wanted = Wanted(model, candidate.registry_version, settings.environment, now)
    permitted = load_permitted(folder, wanted, PublicKeys.from_folder(settings.public_keys))
    return Verified(candidate, permitted, _verified_snapshot(ledger, candidate))


def expect_same_files(candidate: Candidate, folder: Path) -> None:
    """Refuse where MLflow holds other bytes of evidence or permit than the ledger and the files in force.

    Files of the permit that MLflow does not hold yet are no fault: the release puts them there.

    Raises:
        TamperedError: Names the file.
    """
    expected = {f"{PERMIT_FOLDER}/{name}": body for name, body in candidate.files.files().items()}
    expected[EVIDENCE_FILE] = candidate.files.bundle.evidence
    for name, body in expected.items():
        there = (folder / name).read_bytes() if (folder / name).is_file() else None
        if there != body and (there is not None or name == EVIDENCE_FILE):
            found = f"{digest_of_bytes(there)[:16]}…" if there is not None else "no such file"
            raise TamperedError(
                f"{name} in MLflow: expected SHA-256 {digest_of_bytes(body)[:16]}…, as in the ledger and the checkout, "
                f"found {found}. Find out who changed it, then run govern again."
            )


def expect_whole(ledger: Ledger) -> None:
    """Refuse a ledger that was changed.

    Raises:
        TamperedError: Names the first fault.
    """
    report = ledger_verify.verify(ledger)
    if not report.whole:
        first = report.faults[0]
        raise TamperedError(
            f"Expected a whole ledger, found {len(report.faults)} faults, the first in entry {first.seq}: "
            f"{first.message}. Nothing is released on a record that was changed. Run `governance ledger verify`."
        )


def _recorded(ledger: Ledger, model: str, digest: str) -> tuple[Entry, Entry]:
    """Return the entries of evidence and permit, which nobody rejected or revoked."""
    evidence = entries.evidence_entry(ledger, model, digest)
    _expect_digest(evidence)
    permit = entries.permit_entry(ledger, model, digest)
    _expect_no_reject(ledger, evidence, permit)
    entries.expect_not_revoked(ledger, model, digest)
    return evidence, permit


def _expect_as_recorded(candidate: Candidate) -> None:
    recorded = {"evidence.json": candidate.document, "permit.json": dict(candidate.permit.data)}
    for name, document in recorded.items():
        expected, found = canonical.digest(document), digest_of_bytes(candidate.files.files()[name])
        if expected != found:
            raise TamperedError(
                f"{PERMIT_FOLDER}/{name} in MLflow: expected SHA-256 {expected[:16]}…, as in the ledger, found "
                f"{found[:16]}…. Find out who changed it; this version can serve no more."
            )


def _expect_digest(evidence: Entry) -> None:
    found = canonical.digest(evidence.data["evidence"])
    if found != evidence.data["digest"]:
        raise TamperedError(
            f"Expected evidence with digest {evidence.data['digest'][:16]}… in entry {evidence.seq} of the ledger, "
            f"found one with {found[:16]}…. Run govern_{evidence.subject} again."
        )


def _expect_no_reject(ledger: Ledger, evidence: Entry, permit: Entry) -> None:
    """One reject ends it, whoever it was from and whether or not it counted: the ledger alone decides the order."""
    digest = evidence.data["digest"]
    for entry in ledger.find("decision", evidence.subject, evidence.seq):
        decision = entry.data["decision"]
        if decision["evidence"] == digest and decision["answer"] == "reject":
            raise NotPermittedError(
                f"Expected no reject of evidence {digest[:16]}…, found one by {decision['person']} in entry "
                f"{entry.seq} of the ledger. Mend what was rejected and run govern_{evidence.subject} again."
            )
    ends = datetime.fromisoformat(evidence.data["expires_at"])
    if permit.at > ends:
        raise NotPermittedError(
            f"Expected a permit before {ends:%d %b %Y %H:%M} UTC, when the request for signatures ended, found entry "
            f"{permit.seq} of {permit.at:%d %b %Y %H:%M}. Run govern_{evidence.subject} again."
        )


def _expect_waivers(ledger: Ledger, permitted: Permit, keys: PublicKeys, now: datetime) -> None:
    """Ask the ledger whether a waiver ended or was rejected since the evidence was written."""
    ended = waivers.ended_since(ledger, permitted.evidence, permitted.policy, permitted.people, keys, now)
    if ended:
        raise NotPermittedError(f"Expected every waiver that this verdict rests on in force, but {ended}.")


def _expect_standing(ledger: Ledger, permitted: Permit) -> None:
    """Ask the ledger whether the standing approval is there, and was rejected since: one reject ends it."""
    if permitted.standing is None:
        return
    known = standing_approval.of_model(ledger, permitted.model)
    now = next((one for one in known if one.digest == permitted.standing.standing.digest), None)
    if now is None or any(each.decision["answer"] == "reject" for each in now.signatures):
        raise NotPermittedError(
            f"Expected the standing approval that this permit rests on in force, found it "
            f"{'rejected' if now else 'missing in the ledger'}. Have {permitted.model} {permitted.version} signed."
        )


def _expect_nothing_since(ledger: Ledger, permitted: Permit, keys: PublicKeys, now: datetime) -> None:
    """Ask the ledger what happened after the evidence was written: a waiver rejected, a finding overdue."""
    _expect_waivers(ledger, permitted, keys, now)
    _expect_standing(ledger, permitted)
    if permitted.policy.overdue_findings != "block":
        return
    model = permitted.model
    late = findings.overdue(findings.of_model(ledger, model, keys), now)
    if late:
        raise NotPermittedError(
            f"Expected no overdue finding of {model}, found {late[0].id}, due {late[0].due}: {late[0].text} Close it, "
            f"then run govern_{model} again."
        )


def _verified(snapshot: Snapshot) -> Snapshot:
    snapshots.verify(snapshot)
    return snapshot


def _verified_snapshot(ledger: Ledger, candidate: Candidate) -> Snapshot:
    digest = candidate.document["data"]["snapshot"]
    for entry in ledger.backwards("snapshot", candidate.evidence.subject):
        if entry.data["snapshot"]["digest"] == digest:
            return as_it_is(ledger, entry.subject, entry.data["snapshot"], _verified)
    raise RefusedError(
        f"Expected the record of snapshot {digest[:16]}… in the ledger, found none: nobody can say what data this "
        f"model was trained on. Run govern_{candidate.evidence.subject} again."
    )
