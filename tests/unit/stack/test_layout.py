import json
import socket
from pathlib import Path

from stack.layout import (
    HOST,
    PORTS,
    Layout,
    Started,
    choose_ports,
    is_free,
    load_record,
    new_record,
    save_record,
    write_private,
)


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(layout: Layout) -> None:
    secret = layout.secret("word")
    assert layout.secret("word") == secret
    assert len(secret) >= 40
    assert oct((layout.state / "secrets" / "word").stat().st_mode & 0o777) == "0o600"


def test_two_secrets_differ(layout: Layout) -> None:
    assert layout.secret("one") != layout.secret("other")


def test_a_password_with_odd_signs_survives_in_an_address(layout: Layout) -> None:
    layout.secret("postgres-odd", lambda: "a/b:c@d?e%")
    assert layout.database_url("odd", "governance").endswith(
        f"odd:a%2Fb%3Ac%40d%3Fe%25@{HOST}:{layout.ports['postgres']}/governance"
    )


def test_a_private_file_stays_private_when_it_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), oct(file.stat().st_mode & 0o777)) == ("new", "0o600")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_service_gets_its_own_free_port() -> None:
    ports = choose_ports(PORTS)
    assert set(ports) == set(PORTS)
    assert len(set(ports.values())) == len(PORTS)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    record = new_record()
    record.services["mlflow"] = Started(1234, 1.5)
    save_record(tmp_path, record)
    assert load_record(tmp_path) == record
    assert json.loads((tmp_path / "stack.json").read_text())["services"] == {"mlflow": {"pid": 1234, "created": 1.5}}


def test_nothing_is_remembered_where_nothing_was_started(tmp_path: Path) -> None:
    assert load_record(tmp_path) is None
