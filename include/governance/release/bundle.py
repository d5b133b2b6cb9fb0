"""The files that a permit is verified from: put together, read, and checked one by one, so that a refusal names one.

Beside the six files of :class:`governance.review.permit.Bundle` travels the contract, whose digest is part of the
evidence: the scoring service validates requests against it and needs nothing but this folder and the public keys.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from governance import canonical
from governance.canonical import digest_of_bytes
from governance.catalog import ModelSpec
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.policy import digest_of_files, load_policy
from governance.review import approvals, entries, permit
from governance.review.permit import Bundle, Permit
from governance.settings import Settings

CONTRACT = "contract.json"
REMEDY = "Do not serve this version: restore the file, or run govern again and have it signed."

Json = dict[str, Any]


@dataclass(frozen=True)
class PermitFiles:
    """A bundle and the contract, as bytes."""

    bundle: Bundle
    contract: bytes

    def files(self) -> dict[str, bytes]:
        """Return file name → bytes."""
        return {**self.bundle.files(), CONTRACT: self.contract}

    def write(self, folder: Path) -> None:
        """Write the files into a folder, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in self.files().items():
            (folder / name).write_bytes(body)


def assemble(settings: Settings, ledger: Ledger, spec: ModelSpec, evidence_digest: str) -> PermitFiles:
    """Put the files together from the ledger and the files in force.

    Raises:
        NotPermittedError: The ledger holds no such evidence, or no permit over it.
    """
    policy = load_policy(spec.folder, settings.policies)
    own, tier = policy.documents
    bundle = Bundle(
        evidence=canonical.to_bytes(entries.evidence_entry(ledger, spec.name, evidence_digest).data["evidence"]),
        permit=canonical.to_bytes(dict(entries.permit_entry(ledger, spec.name, evidence_digest).data)),
        policy=own.body,
        tier=tier.body,
        people=settings.people.read_bytes(),
        spec=spec.document.body,
    )
    return PermitFiles(bundle, spec.contract.read_bytes())


def read(folder: Path) -> PermitFiles:
    """Read the files from a folder.

    Raises:
        NotPermittedError: One is missing.
    """
    bundle = Bundle.read(folder)
    try:
        return PermitFiles(bundle, (folder / CONTRACT).read_bytes())
    except OSError as error:
        raise NotPermittedError(
            f"Expected {CONTRACT} beside the permit in {folder.name}/, found none. Release this version again."
        ) from error


def verify(files: PermitFiles, keys: PublicKeys, environment: str, now: datetime) -> Permit:
    """Verify a permit from bytes alone.

    Raises:
        TamperedError: A file is not what was signed; the message names it.
        NotPermittedError: The permit does not permit.
    """
    signed = _signed_permit(files.bundle.permit, keys)
    _check_digests(files, signed)
    verified = permit.verify(files.bundle, keys, environment, now)
    _expect(CONTRACT, verified.evidence["data"]["contract"]["digest"], digest_of_bytes(files.contract))
    return verified


def _signed_permit(body: bytes, keys: PublicKeys) -> Json:
    try:
        document = canonical.from_bytes(body)
        signed: Json = document["permit"]
        keys.verify(signed, document["signature"], permit.PURPOSE, approvals.KEY)
    except TamperedError as error:
        raise TamperedError(f"permit.json is not what the review key signed. {error}") from error
    except (KeyError, TypeError) as error:
        raise TamperedError(f"permit.json: expected a permit and its signature, found no {error}. {REMEDY}") from error
    return signed


def _check_digests(files: PermitFiles, signed: Json) -> None:
    """Compare each file with the digest that was signed, so that what changed is named by its file."""
    bundle = files.bundle
    _expect("evidence.json", signed["evidence"], digest_of_bytes(bundle.evidence))
    _expect("model.yaml", signed["spec"], digest_of_bytes(bundle.spec))
    _expect("people.yaml", signed["people"], digest_of_bytes(bundle.people))
    _expect("policy.yaml or tier.yaml", signed["policy"], digest_of_files(bundle.policy, bundle.tier))


def _expect(name: str, signed: str, found: str) -> None:
    if signed != found:
        raise TamperedError(f"{name}: expected SHA-256 {signed[:16]}…, which was signed, found {found[:16]}…. {REMEDY}")
