"""``make secrets`` makes what is missing, for every container, and replaces nothing."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from governance.settings import ROOT
from stack.keys import KEYS
from stack.secrets_folder import PUBLIC, make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "secrets", ROOT)
    return tmp_path / "secrets"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_made_once_it_is_never_made_again(folder):
    before = contents(folder)
    assert make(folder, ROOT) == []
    assert contents(folder) == before


def test_what_somebody_else_brought_is_kept_and_what_is_empty_is_made(tmp_path):
    (tmp_path / "postgres-airflow").write_text("from-the-vault")
    (tmp_path / "redis").write_text("")
    made = make(tmp_path, ROOT)
    assert (tmp_path / "postgres-airflow").read_text() == "from-the-vault"
    assert "postgres-airflow" not in made
    assert "redis" in made


def test_no_two_are_alike(folder):
    words = [text for name, text in contents(folder).items() if not name.endswith(".pem")]
    assert len(set(words)) == len(words)


def test_others_cannot_enter_the_folder_and_containers_can_read_a_file(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(path.stat().st_mode & stat.S_IROTH for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", KEYS)
def test_the_public_half_verifies_what_the_private_half_signs(folder, name):
    private = load_pem_private_key((folder / f"key-{name}").read_bytes(), password=None)
    public = load_pem_public_key((folder / PUBLIC / f"{name}.pem").read_bytes())
    public.verify(private.sign(b"words"), b"words")


def test_somebody_new_in_people_yaml_gets_a_password_and_nobody_elses_changes(folder):
    known = json.loads((folder / "logins").read_text())
    del known["ken"]
    (folder / "logins").write_text(json.dumps(known))

    assert make(folder, ROOT) == ["logins"]
    after = json.loads((folder / "logins").read_text())
    assert "ken" in after
    assert {name: word for name, word in after.items() if name != "ken"} == known


def test_the_object_store_knows_mlflows_key(folder):
    [one] = json.loads((folder / "s3-identities").read_text())["identities"]
    assert one["credentials"][0]["secretKey"] == (folder / "s3-mlflow").read_text()
