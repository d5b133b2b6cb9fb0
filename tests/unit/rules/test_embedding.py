"""The model folder's own embeddings: what they see, what they may not do, and that no failure of them is *no drift*."""

import numpy as np
import pandas as pd
import pytest

from governance.rules import child, embedding
from governance.rules.embedding import embed

THEN = pd.DataFrame({"note": ["new roof", "a car", None, "a car for work"], "income": [1.0, 2.0, 3.0, np.nan]})
NOW = pd.DataFrame({"note": ["school fees", "school"], "income": [5.0, 6.0], "_label": [1, 0]})


@pytest.fixture
def embedded(tmp_path):
    """Return a function: source → what is embedded."""

    def run(source, reference=THEN, current=NOW):
        (tmp_path / "embedding.py").write_text(source)
        return embed(tmp_path, reference, current)

    return run


def returning(text):
    return f"import numpy as np\ndef embed(frame, files):\n    return {text}\n"


def test_without_a_file_nothing_is_embedded(tmp_path):
    assert embed(tmp_path, THEN, NOW) == embedding.Embeddings()


def test_each_row_comes_back_on_its_own_side(embedded):
    found = embedded(returning("{'x': np.c_[frame['income'].fillna(0), frame['note'].str.len().fillna(0)]}"))
    assert found.fault is None
    then, now = found.sides["x"]
    assert sorted(then.tolist()) == [[0, 14], [1, 8], [2, 5], [3, 0]]
    assert sorted(now.tolist()) == [[5, 11], [6, 6]]
    assert found.method.startswith("python ")


def test_it_is_not_told_which_side_a_row_is_of(embedded):
    """Labels, and whatever else the reference lacks, are not shown; rows come shuffled."""
    source = """
import numpy as np
def embed(frame, files):
    assert list(frame.columns) == ["note", "income"] and list(frame.index) == list(range(6))
    return {"place": np.arange(6.0)[:, None]}
"""
    then, _ = embedded(source).sides["place"]
    assert sorted(then[:, 0]) != [0, 1, 2, 3]


def test_what_scikit_learn_has_for_text_is_there(embedded):
    source = """
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

def embed(frame, files):
    text = frame["note"].fillna("")
    letters = TfidfVectorizer(analyzer="char_wb").fit_transform(text)
    return {
        "hashed": HashingVectorizer(n_features=64).transform(text),
        "words": TfidfVectorizer(ngram_range=(1, 2)).fit_transform(text),
        "letters": TruncatedSVD(2, random_state=0).fit_transform(letters),
        "counts": PCA(2).fit_transform(CountVectorizer().fit_transform(text).toarray()),
    }
"""
    found = embedded(source)
    assert found.fault is None
    assert {name: [len(side) for side in sides] for name, sides in found.sides.items()} == {
        "hashed": [4, 2], "words": [4, 2], "letters": [4, 2], "counts": [4, 2],
    }  # fmt: skip


def test_files_beside_it_are_there_as_bytes(embedded, tmp_path):
    (tmp_path / "embedding").mkdir()
    np.savez(tmp_path / "embedding" / "weights.npz", weights=np.array([[2.0, 3.0]]))
    source = """
import io
import numpy as np
def embed(frame, files):
    weights = np.load(io.BytesIO(files["weights.npz"]))["weights"]
    return {"x": frame[["income"]].fillna(0).to_numpy() @ weights}
"""
    assert sorted(embedded(source).sides["x"][1].tolist()) == [[10, 15], [12, 18]]


def test_pictures_are_read_from_their_bytes(embedded):
    import base64
    import io

    from PIL import Image

    def picture(grey):
        body = io.BytesIO()
        Image.fromarray(np.full((8, 8), grey, np.uint8)).save(body, "PNG")
        return base64.b64encode(body.getvalue()).decode()

    source = """
import base64, io
import numpy as np
from PIL import Image, PngImagePlugin
def embed(frame, files):
    pictures = [Image.open(io.BytesIO(base64.b64decode(each))) for each in frame["scan"]]
    return {"scan": np.array([np.asarray(each).ravel() for each in pictures])}
"""
    sides = [pd.DataFrame({"scan": [picture(grey) for grey in greys]}) for greys in ((0, 10, 20), (200, 210))]
    found = embedded(source, *sides)
    assert found.fault is None
    assert sorted(found.sides["scan"][1][:, 0]) == [200, 210]


def test_of_large_tables_it_sees_a_sample_and_the_same_one_each_time(embedded, monkeypatch):
    monkeypatch.setattr(embedding, "ROWS", 50)
    large = pd.DataFrame({"x": np.arange(1000.0)})
    first, again = (embedded(returning("{'x': frame[['x']]}"), large, large).sides["x"] for _ in range(2))
    assert [len(side) for side in first] == [50, 50]
    assert (first[0] == again[0]).all()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "expected 1 to 5 embeddings by name"),
        ({}, "expected 1 to 5 embeddings by name"),
        ({1: np.ones((6, 2))}, "expected a name"),
        ({"x": np.ones((5, 2))}, "expected 6 rows"),
        ({"x": np.ones(6)}, "expected 6 rows"),
        ({"x": np.ones((6, 1025))}, "expected 6 rows of 1 to 1024 numbers"),
        ({"x": np.full((6, 2), np.nan)}, "x: expected finite numbers"),
        pytest.param(
            {"x": np.full((6, 2), 1e300)},
            "x: expected finite numbers",
            marks=pytest.mark.filterwarnings("ignore:overflow encountered"),
        ),
    ],
)
def test_what_is_no_matrix_is_a_fault(answer, said):
    sent = []
    assert said in child.matrices(answer, 6, sent)["fault"]
    assert not sent


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("{}", "expected 1 to 5 embeddings by name"),
        ("{'x': frame}", "ValueError"),
        ("{'x': np.ones((6, 2))}", "x: every row has the same embedding, so that it tells nothing"),
    ],
)
def test_a_fault_is_no_embedding(embedded, answer, said):
    found = embedded(returning(answer))
    assert not found.sides
    assert found.fault.startswith("embedding.py: ")
    assert said in found.fault


def test_one_that_lies_about_its_size_is_refused(embedded):
    source = """
import json, os, sys
def embed(frame, files):
    for number in range(3, 10):
        try:
            os.write(number, json.dumps({"shapes": {"x": [6, 2]}}).encode() + b"\\nabcd")
        except OSError:
            pass
    os._exit(0)
"""
    assert "returned no numbers" in embedded(source).fault


def test_it_is_ended_when_it_takes_too_long(embedded, monkeypatch):
    monkeypatch.setattr(embedding, "SECONDS", 0.3)
    assert embedded(returning("[1 for _ in iter(int, 1)]")).fault == "embedding.py: it took longer than 0.3 s"


def test_files_beside_it_that_are_too_large_are_refused(embedded, monkeypatch, tmp_path):
    monkeypatch.setattr(embedding, "LARGEST_FILES", 10)
    (tmp_path / "embedding").mkdir()
    (tmp_path / "embedding" / "weights").write_bytes(bytes(11))
    assert "larger than" in embedded(returning("{'x': frame[['income']]}")).fault


def test_it_finds_no_secret_opens_no_file_and_reaches_nobody(embedded, monkeypatch, tmp_path):
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://secret")
    (tmp_path / "key.pem").write_text("secret")
    source = f"""
import os, socket
import numpy as np
def refused(act):
    try:
        act()
    except OSError:
        return 1
    return 0
def embed(frame, files):
    found = [
        sum("secret" in value for value in os.environ.values()),
        refused(lambda: open({str(tmp_path / "key.pem")!r})),
        refused(lambda: socket.socket()),
        refused(lambda: os.fork()),
    ]
    return {{"x": np.array([found] * len(frame)) * (1 + np.arange(len(frame)))[:, None]}}
"""
    found = np.vstack(embedded(source).sides["x"])
    assert found.min(0).tolist() == [0, 1, 1, 1]
