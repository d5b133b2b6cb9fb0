"""Signing and checking, with Ed25519 over canonical bytes.

Three keys exist: ``artifact`` (the pipeline's; signs model files), ``review`` (the API server's; signs decisions and
permits) and ``witness`` (the witness's; signs checkpoints of the ledger). A signature is made for one purpose and does
not verify for another. Whoever only checks holds public keys.

Not guaranteed: separation under one Unix user. There the private keys are files that the same user can read (§10.9).
"""

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from governance import canonical
from governance.errors import InputError, TamperedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


@dataclass(frozen=True)
class Signer:
    """A private key and its name."""

    name: str
    _key: "Ed25519PrivateKey" = field(repr=False)

    @classmethod
    def from_file(cls, path: Path, name: str) -> Self:
        """Read a private key.

        Raises:
            InputError: The file is missing, is no Ed25519 key, or can be read by others.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            with path.open("rb") as file:
                mode, body = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read()
        except OSError as error:
            raise InputError(f"Expected the private key {name} at {path}, found none: {error.strerror}.") from error
        if mode & 0o077:
            raise InputError(f"Expected {path} to be readable by its owner only, found mode {mode:o}. Run chmod 600.")
        try:
            key = load_pem_private_key(body, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError(f"Expected an Ed25519 key in {path}, found something else: {error}.") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"Expected an Ed25519 key in {path}, found another kind.")
        return cls(name, key)

    @classmethod
    def passing(cls, name: str) -> Self:
        """Return a signer with a new key that is written nowhere: for files that nobody is to trust."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate())

    def sign(self, document: Any, purpose: str) -> str:
        """Return the signature of a document for a purpose, in base64."""
        return base64.b64encode(self._key.sign(message(document, purpose))).decode()


@dataclass(frozen=True)
class PublicKeys:
    """The public keys whose signatures count, by name."""

    keys: Mapping[str, "Ed25519PublicKey"]

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read ``<name>.pem`` of a folder.

        Raises:
            InputError: There are none, or one is no Ed25519 key.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        keys: dict[str, Ed25519PublicKey] = {}
        for path in sorted(folder.glob("*.pem")):
            try:
                key = load_pem_public_key(path.read_bytes())
            except (OSError, ValueError, UnsupportedAlgorithm) as error:
                raise InputError(f"Expected a public key in {path}, found something else: {error}.") from error
            if not isinstance(key, Ed25519PublicKey):
                raise InputError(f"Expected an Ed25519 key in {path}, found another kind.")
            keys[path.stem] = key
        if not keys:
            raise InputError(f"Expected public keys in {folder}, found none. `make up` makes them at its first start.")
        return cls(keys)

    def verify(self, document: Any, signature: str, purpose: str, key_name: str) -> None:
        """Check a signature.

        Raises:
            TamperedError: It is not this key's signature of this document for this purpose.
        """
        from cryptography.exceptions import InvalidSignature

        key = self.keys.get(key_name)
        if key is None:
            known = ", ".join(self.keys)
            raise TamperedError(f"Expected a {purpose} signature by a known key ({known}), found one by {key_name!r}.")
        try:
            key.verify(_decoded(signature), message(document, purpose))
        except (InvalidSignature, ValueError, InputError) as error:
            raise TamperedError(
                f"Expected a valid {purpose} signature by the key {key_name!r}, found one that does not verify: "
                f"the document or the signature was changed, or another key signed."
            ) from error


def _decoded(signature: str) -> bytes:
    """Decode base64 strictly: the last digit has bits that nobody reads, and they must not be free to change."""
    raw = base64.b64decode(signature, validate=True)
    if base64.b64encode(raw).decode() != signature:
        raise ValueError("not in canonical base64")
    return raw


def message(document: Any, purpose: str) -> bytes:
    """Return the bytes that are signed: the purpose, then the canonical document, which never holds a zero byte."""
    return b"governance:" + purpose.encode() + b"\0" + canonical.to_bytes(document)
