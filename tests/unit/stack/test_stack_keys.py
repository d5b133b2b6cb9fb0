from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from stack.keys import KEYS, ensure_keys
from stack.layout import Layout


def test_the_public_half_verifies_what_the_private_half_signs(layout: Layout) -> None:
    ensure_keys(layout)
    for name in KEYS:
        private = load_pem_private_key(layout.private_key(name).read_bytes(), password=None)
        public = load_pem_public_key((layout.public_keys / f"{name}.pem").read_bytes())
        public.verify(private.sign(b"words"), b"words")


def test_private_keys_are_for_their_owner_only(layout: Layout) -> None:
    ensure_keys(layout)
    assert {oct(layout.private_key(name).stat().st_mode & 0o777) for name in KEYS} == {"0o600"}
    assert oct(layout.private_key("review").parent.stat().st_mode & 0o777) == "0o700"


def test_keys_that_exist_are_never_replaced(layout: Layout) -> None:
    ensure_keys(layout)
    before = [layout.private_key(name).read_bytes() for name in KEYS]
    ensure_keys(layout)
    assert [layout.private_key(name).read_bytes() for name in KEYS] == before


def test_a_pair_whose_making_was_interrupted_is_made_anew(layout: Layout) -> None:
    ensure_keys(layout)
    layout.private_key("review").unlink()
    before = (layout.public_keys / "review.pem").read_bytes()
    ensure_keys(layout)
    assert (layout.public_keys / "review.pem").read_bytes() != before
