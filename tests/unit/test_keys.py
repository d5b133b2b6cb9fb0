"""Signatures: one key, one document, one purpose."""

import base64
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from governance.errors import InputError, TamperedError
from governance.keys import PublicKeys, Signer, message

DOCUMENT = {"answer": "approve", "evidence": "ab" * 32, "n": 1.5}


def write_private(path, key, encryption=None):
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    path.chmod(0o600)


def write_public(path, key):
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "public").mkdir()
    for name in ("artifact", "review"):
        key = Ed25519PrivateKey.generate()
        write_private(folder / f"{name}.pem", key)
        write_public(folder / "public" / f"{name}.pem", key)
    return folder


@pytest.fixture(scope="module")
def review(folder):
    return Signer.from_file(folder / "review.pem", "review")


@pytest.fixture(scope="module")
def public(folder):
    return PublicKeys.from_folder(folder / "public")


def test_a_signature_verifies_whatever_the_order_of_keys(review, public):
    signature = review.sign(DOCUMENT, "decision")

    public.verify(dict(reversed(DOCUMENT.items())), signature, "decision", "review")


def test_the_same_document_has_the_same_signature(review):
    assert review.sign(DOCUMENT, "decision") == review.sign(dict(DOCUMENT), "decision")


def test_what_is_signed_is_the_purpose_and_the_canonical_bytes():
    assert message({"b": 2, "a": 1}, "decision") == b'governance:decision\0{"a":1,"b":2}'


@pytest.mark.parametrize(("document", "purpose", "name"), [
    ({**DOCUMENT, "answer": "reject"}, "decision", "review"),
    ({**DOCUMENT, "more": None}, "decision", "review"),
    ({**DOCUMENT, "n": float("nan")}, "decision", "review"),
    (DOCUMENT, "permit", "review"),
    (DOCUMENT, "", "review"),
    (DOCUMENT, "decision", "artifact"),
    (DOCUMENT, "decision", "unknown"),
    (DOCUMENT, "decision", "../review"),
], ids=["changed", "added", "not JSON", "other purpose", "no purpose", "other key", "unknown key", "path"])  # fmt: skip
def test_a_signature_holds_for_nothing_else(review, public, document, purpose, name):
    with pytest.raises(TamperedError, match=r"Expected a .*signature by"):
        public.verify(document, review.sign(DOCUMENT, "decision"), purpose, name)


def test_the_refusal_says_which_keys_are_known(public):
    with pytest.raises(TamperedError, match=r"by a known key \(artifact, review\), found one by 'mallory'"):
        public.verify(DOCUMENT, "", "decision", "mallory")


@given(bit=st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_found(review, public, bit):
    raw = bytearray(base64.b64decode(review.sign(DOCUMENT, "decision")))
    raw[bit // 8] ^= 1 << bit % 8

    with pytest.raises(TamperedError):
        public.verify(DOCUMENT, base64.b64encode(raw).decode(), "decision", "review")


@given(place=st.integers(0, 87), character=st.characters())
def test_any_other_character_in_a_signature_is_found(review, public, place, character):
    signature = review.sign(DOCUMENT, "decision")
    if character == signature[place]:
        return

    with pytest.raises(TamperedError):
        public.verify(DOCUMENT, signature[:place] + character + signature[place + 1 :], "decision", "review")


@pytest.mark.parametrize("change", [
    lambda text: "", lambda text: text[:-4], lambda text: text + "=", lambda text: text + "\n", lambda text: " " + text,
    lambda text: text + text, lambda text: text.rstrip("="), lambda text: "ü" + text,
])  # fmt: skip
def test_a_signature_is_written_in_one_way_only(review, public, change):
    with pytest.raises(TamperedError):
        public.verify(DOCUMENT, change(review.sign(DOCUMENT, "decision")), "decision", "review")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
def test_a_private_key_that_others_can_open_is_not_used(folder, tmp_path, mode):
    path = tmp_path / "review.pem"
    path.write_bytes((folder / "review.pem").read_bytes())
    os.chmod(path, mode)

    with pytest.raises(InputError, match=f"found mode {mode:o}. Run chmod 600"):
        Signer.from_file(path, "review")


def test_a_missing_private_key_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Expected the private key review at .*No such file"):
        Signer.from_file(tmp_path / "review.pem", "review")


@pytest.mark.parametrize("kind", ["garbage", "public", "elliptic", "encrypted"])
def test_what_is_no_private_ed25519_key_is_refused(tmp_path, kind):
    path = tmp_path / "review.pem"
    key = Ed25519PrivateKey.generate()
    match kind:
        case "garbage":
            path.write_bytes(b"-----BEGIN")
        case "public":
            write_public(path, key)
        case "elliptic":
            write_private(path, generate_private_key(SECP256R1()))
        case "encrypted":
            write_private(path, key, BestAvailableEncryption(b"secret"))
    path.chmod(0o600)

    with pytest.raises(InputError, match="Expected an Ed25519 key"):
        Signer.from_file(path, "review")


@pytest.mark.parametrize("kind", ["garbage", "private", "elliptic", "folder"])
def test_what_is_no_public_ed25519_key_is_refused(tmp_path, kind):
    path = tmp_path / "review.pem"
    match kind:
        case "garbage":
            path.write_bytes(b"-----BEGIN")
        case "private":
            write_private(path, Ed25519PrivateKey.generate())
        case "elliptic":
            write_public(path, generate_private_key(SECP256R1()))
        case "folder":
            path.mkdir()

    with pytest.raises(InputError, match=r"Expected (a public|an Ed25519) key"):
        PublicKeys.from_folder(tmp_path)


def test_a_folder_without_keys_verifies_nothing(tmp_path):
    with pytest.raises(InputError, match="Expected public keys in"):
        PublicKeys.from_folder(tmp_path)


def test_a_signer_does_not_show_its_key(review):
    assert repr(review) == "Signer(name='review')"
