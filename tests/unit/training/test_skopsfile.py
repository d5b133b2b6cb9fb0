import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from governance.canonical import digest_of_bytes
from governance.errors import InputError, RefusedError
from governance.training import skopsfile

TREE = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
FEATURES = np.random.default_rng(0).normal(size=(200, 4))
OUTCOME = (FEATURES[:, 0] + FEATURES[:, 1] > 0).astype(int)

MODELS = {
    "boosting": (HistGradientBoostingClassifier(max_iter=5, random_state=0), [TREE]),
    "pipeline": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), []),
    "forest": (RandomForestClassifier(5, random_state=0), ["sklearn.tree._tree.Tree"]),
}


@pytest.mark.parametrize(("model", "trusted"), MODELS.values(), ids=MODELS.keys())
def test_a_model_predicts_the_same_after_writing_and_reading(model, trusted):
    model.fit(FEATURES, OUTCOME)
    read = skopsfile.from_bytes(skopsfile.to_bytes(model), trusted)
    assert np.array_equal(read.predict_proba(FEATURES), model.predict_proba(FEATURES))


@pytest.mark.parametrize(("model", "trusted"), MODELS.values(), ids=MODELS.keys())
def test_equal_models_are_equal_bytes(model, trusted):
    first = skopsfile.to_bytes(model.fit(FEATURES, OUTCOME))
    read = skopsfile.to_bytes(skopsfile.from_bytes(first, trusted))
    refitted = skopsfile.to_bytes(model.fit(FEATURES, OUTCOME))
    # Digests: pytest takes minutes to show where two binary files differ.
    assert digest_of_bytes(first) == digest_of_bytes(read) == digest_of_bytes(refitted)


SCRIPT = """
import sys; sys.path[:0] = {path!r}
import numpy as np
from hashlib import sha256
from sklearn.ensemble import HistGradientBoostingClassifier
from governance.training import skopsfile
features = np.random.default_rng(0).normal(size=(200, 4))
model = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(features, (features[:, 0] > 0).astype(int))
print(sha256(skopsfile.to_bytes(model)).hexdigest())
"""


def test_equal_models_are_equal_bytes_in_another_process():
    command = [sys.executable, "-c", SCRIPT.format(path=sys.path)]
    assert len({subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}) == 1


def test_a_type_that_the_spec_does_not_allow_is_refused_with_the_line_to_write():
    body = skopsfile.to_bytes(MODELS["boosting"][0].fit(FEATURES, OUTCOME))
    with pytest.raises(RefusedError, match=rf"under training.trusted_types:\n    - {TREE}"):
        skopsfile.from_bytes(body, [])


def test_a_file_that_wants_to_run_a_command_is_refused_and_runs_nothing(tmp_path):
    canary = tmp_path / "canary"
    body = with_schema(
        {
            "__class__": "system",
            "__module__": "os",
            "__loader__": "FunctionNode",
            "content": {"module_path": "os", "function": "system", "command": f"touch {canary}"},
        }
    )
    with pytest.raises((RefusedError, InputError)):
        skopsfile.from_bytes(body, [])
    assert not canary.exists()


def with_schema(schema: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.16"}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [b"", b"not a zip", with_schema({}), with_schema({"__loader__": "NoSuchNode"})],
    ids=["empty", "not a zip", "no schema", "unknown loader"],
)
def test_what_is_no_model_file_is_told_so(body):
    with pytest.raises(InputError, match="model file in skops' format"):
        skopsfile.from_bytes(body, [])


def test_a_file_that_unpacks_to_more_than_memory_is_refused_unread():
    body = bytearray(skopsfile.to_bytes(LogisticRegression().fit(FEATURES, OUTCOME)))
    entry = body.index(b"PK\x01\x02")  # of the zip's directory; the unpacked size stands 24 bytes further
    for _ in range(2):
        body[entry + 24 : entry + 28] = b"\xff\xff\xff\xf0"
        entry = body.index(b"PK\x01\x02", entry + 1)
    with pytest.raises(InputError, match="at most 4,294,967,296 bytes"):
        skopsfile.from_bytes(bytes(body), [])


def test_what_skops_cannot_save_is_told_so():
    model = LogisticRegression().fit(FEATURES, OUTCOME)
    model.extra = (x for x in [])
    with pytest.raises(InputError, match="Build it of scikit-learn's own classes"):
        skopsfile.to_bytes(model)


def test_the_file_is_one_that_skops_itself_reads():
    body = skopsfile.to_bytes(LogisticRegression().fit(FEATURES, OUTCOME))
    assert isinstance(skops.io.loads(body), LogisticRegression)
