"""Ed25519 key pairs as PEM files, made at first start.

``artifact`` belongs to the pipeline and signs model files, ``review`` to the API server and signs decisions,
``witness`` to the one who checks the ledger from outside. The
private halves are files of mode 0600; under one operating-system user that separates nothing (see :mod:`stack`).
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stack.layout import Layout, write_private, write_whole

KEYS = ("artifact", "review", "witness")


def ensure_keys(layout: Layout) -> None:
    """Make the key pairs that are missing; existing ones are never replaced."""
    for name in KEYS:
        if not layout.private_key(name).exists():
            _make(layout, name)


def make_pair() -> tuple[str, str]:
    """Return a new private key and its public half, as PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _make(layout: Layout, name: str) -> None:
    private, public = make_pair()
    layout.public_keys.mkdir(parents=True, exist_ok=True)
    # The private half last: its presence says that the pair is complete.
    write_whole(layout.public_keys / f"{name}.pem", public)
    write_private(layout.private_key(name), private)
