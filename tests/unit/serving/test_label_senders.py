"""``POST /labels`` asks who sends before it reads anything; what it does with labels is tested with a database."""

import pytest
from fastapi.testclient import TestClient

from governance.serving.app import create_app

BANK, OTHER = "bank-" + "b" * 27, "other-" + "o" * 26
LABELS = {"model": "loan", "labels": [{"request_id": "r-1", "label": 1}]}


@pytest.fixture
def send(tmp_path):
    """Return a function: token and body → the answer of a service that knows two senders."""
    path = tmp_path / "label.tokens"
    path.write_text(f"bank {BANK}\nother {OTHER} another\n")
    app = create_app()
    app.state.label_tokens = path
    client = TestClient(app, raise_server_exceptions=False)  # not entered: it follows no model

    def post(token=None, body=LABELS, scheme="Bearer", file=path):
        app.state.label_tokens = file
        return client.post("/labels", json=body, headers={"Authorization": f"{scheme} {token}"} if token else {})

    return post


@pytest.mark.parametrize(
    ("token", "scheme", "said"),
    [(None, "Bearer", "found none"), ("x" * 32, "Bearer", "nobody's"), (BANK[:-1], "Bearer", "nobody's"),
     (f"{BANK}b", "Bearer", "nobody's"), (BANK, "Basic", "nobody's")],
    ids=["none", "another", "most of one", "more than one", "another scheme"],
)  # fmt: skip
def test_without_a_senders_token_it_is_401(send, token, scheme, said):
    answer = send(token, scheme=scheme)

    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert said in answer.json()["message"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_labels_of_a_model_that_is_not_the_senders_are_403(send):
    answer = send(OTHER)

    assert (answer.status_code, answer.json()["message"]) == (403, "other may send labels of another only.")


def test_without_senders_labels_are_taken_from_nobody(send, tmp_path):
    (tmp_path / "none.tokens").write_text("# nobody yet\n")

    for file in (None, tmp_path / "none.tokens"):
        answer = send(BANK, file=file)
        assert (answer.status_code, "GOVERNANCE_LABEL_TOKENS" in answer.text) == (403, True)


def test_a_file_that_cannot_be_read_is_503_and_tells_no_path(send, tmp_path):
    answer = send(BANK, file=tmp_path / "nowhere")

    assert (answer.status_code, str(tmp_path) in answer.text) == (503, False)


def test_who_asks_is_asked_before_what_is_said_is_read(send):
    assert send(None, body={"anything": 1}).status_code == 401
    assert send(BANK, body={"anything": 1}).status_code == 400
