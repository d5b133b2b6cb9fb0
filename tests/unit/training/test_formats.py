"""A model that is saved and loaded says the same; a file that is anything else is refused and never run."""

import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from governance.errors import GovernanceError, InputError, RefusedError
from governance.training import formats, skopsfile

BINARY, SEVERAL, NUMBER = "binary_classification", "multiclass_classification", "regression"
CLASSES = {BINARY: [0, 1], SEVERAL: [0, 1, 2], NUMBER: None}
QUICK = {"n_estimators": 6, "n_jobs": 1}
MODELS = {
    ("xgboost", BINARY): xgboost.XGBClassifier(**QUICK),
    ("xgboost", SEVERAL): xgboost.XGBClassifier(**QUICK),
    ("xgboost", NUMBER): xgboost.XGBRegressor(**QUICK),
    ("lightgbm", BINARY): lightgbm.LGBMClassifier(**QUICK, verbosity=-1),
    ("lightgbm", SEVERAL): lightgbm.LGBMClassifier(**QUICK, verbosity=-1),
    ("lightgbm", NUMBER): lightgbm.LGBMRegressor(**QUICK, verbosity=-1),
}
HOLE = 0.1


def rows(seed: int = 0, count: int = 200) -> pd.DataFrame:
    """Four columns of numbers of several kinds, a tenth of them missing in two."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(draw.normal(size=(count, 4)) * [1, 1e6, 1e-3, 9], columns=["a", "b", "c", "whole"])
    frame[["b", "c"]] = frame[["b", "c"]].mask(draw.random((count, 2)) < HOLE)
    return frame.astype({"whole": int, "a": "float32"})


def target(frame: pd.DataFrame, task: str) -> Any:
    signal = frame["a"] + frame["whole"] / 9
    return {BINARY: (signal > 0).astype(int), SEVERAL: np.digitize(signal, [-0.7, 0.7]), NUMBER: 3 * signal}[task]


def fitted(library: str, task: str) -> Any:
    frame = rows()
    return MODELS[library, task].fit(frame, target(frame, task))


def said(model: Any, task: str, frame: Any) -> Any:
    return model.predict(frame) if task == NUMBER else model.predict_proba(frame)


def loaded(model: Any, task: str, classes: Any = None) -> Any:
    file, body = formats.to_file(model)
    return formats.from_file(file, body, trusted_types=[], task=task, classes=classes or CLASSES[task])


@pytest.mark.parametrize(("library", "task"), MODELS)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 50))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_loaded_model_says_exactly_what_was_saved(library: str, task: str, seed: int, count: int) -> None:
    model, frame = fitted(library, task), rows(seed, count)
    again = loaded(model, task)
    np.testing.assert_array_equal(said(again, task, frame), said(model, task, frame))
    np.testing.assert_array_equal(said(again, task, frame[["c", "a", "whole", "b"]]), said(model, task, frame))
    np.testing.assert_array_equal(said(again, task, frame.to_numpy()), said(model, task, frame))


@pytest.mark.parametrize(("library", "task"), MODELS)
def test_a_loaded_model_is_saved_as_the_very_bytes_it_came_from(library: str, task: str) -> None:
    model = fitted(library, task)
    assert formats.to_file(loaded(model, task)) == formats.to_file(model)
    assert formats.file_of(loaded(model, task)) == formats.file_of(model) != formats.SKOPS


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_booster_is_saved_like_the_model_around_it(library: str) -> None:
    model = fitted(library, SEVERAL)
    booster = model.get_booster() if library == "xgboost" else model.booster_
    np.testing.assert_array_equal(loaded(booster, SEVERAL).predict_proba(rows(3)), model.predict_proba(rows(3)))


def test_where_early_stopping_said_to_stop_a_loaded_model_stops() -> None:
    frame = rows(count=400)
    noise = np.random.default_rng(1).integers(0, 2, 400)
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, n_jobs=1)
    model.fit(frame[:200], noise[:200], eval_set=[(frame[200:], noise[200:])], verbose=False)
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    np.testing.assert_array_equal(loaded(model, BINARY).predict_proba(frame), model.predict_proba(frame))


@pytest.mark.parametrize("booster", ["gblinear", "dart"])
def test_xgboost_s_other_boosters_are_models_too(booster: str) -> None:
    frame = rows()[["a", "whole"]]
    model = xgboost.XGBClassifier(**QUICK, booster=booster).fit(frame, target(frame, BINARY))
    np.testing.assert_array_equal(loaded(model, BINARY).predict_proba(frame), model.predict_proba(frame))


def test_softmax_gives_probabilities_although_it_answers_with_classes() -> None:
    frame = rows()
    data = xgboost.DMatrix(frame, target(frame, SEVERAL))
    both = [
        xgboost.train({"objective": f"multi:{name}", "num_class": 3, "nthread": 1}, data, 5)
        for name in ("softmax", "softprob")
    ]
    one, other = (loaded(booster, SEVERAL).predict_proba(frame) for booster in both)
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_classes_that_a_file_only_numbers_get_their_names() -> None:
    frame = rows()
    words = np.array(["high", "low", "mid"])[np.asarray(target(frame, SEVERAL))]
    model = lightgbm.LGBMClassifier(**QUICK, verbosity=-1).fit(frame, words)
    again = loaded(model, SEVERAL, formats.coded_classes(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert formats.coded_classes(again) == ("high", "low", "mid")
    assert formats.coded_classes(LogisticRegression().fit(frame[["a"]], words)) is None, "skops holds them"


def test_the_number_of_classes_must_be_the_spec_s() -> None:
    for library in ("xgboost", "lightgbm"):
        with pytest.raises(InputError, match="tell 2 classes apart"):
            loaded(fitted(library, SEVERAL), BINARY, [0, 1])


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize(("made", "asked"), [(NUMBER, BINARY), (BINARY, NUMBER)])
def test_a_model_for_another_task_is_refused(library: str, made: str, asked: str) -> None:
    with pytest.raises(InputError, match=r"found one of the objective|numbers"):
        loaded(fitted(library, made), asked)


# --- columns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_other_columns_are_refused_by_name(library: str) -> None:
    model = loaded(fitted(library, BINARY), BINARY)
    with pytest.raises(InputError, match=r"no b; besides d\."):
        model.predict_proba(rows().rename(columns={"b": "d"}))
    with pytest.raises(InputError, match=r"besides extra"):
        model.predict_proba(rows().assign(extra=1))
    with pytest.raises(InputError, match="Expected 4 columns"):
        model.predict_proba(rows().to_numpy()[:, :3])


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("dtype", ["category", "str"])
def test_text_and_categories_are_refused_by_name(library: str, dtype: str) -> None:
    with pytest.raises(InputError, match=r"other types in a\. Turn categories into numbers"):
        loaded(fitted(library, BINARY), BINARY).predict_proba(rows().astype({"a": dtype}))


def test_a_model_that_reads_categories_is_refused() -> None:
    frame = rows().assign(kind=pd.Categorical(np.tile(["x", "y"], 100)))
    boosted = xgboost.XGBClassifier(**QUICK, enable_categorical=True).fit(frame, target(frame, BINARY))
    light = lightgbm.LGBMClassifier(**QUICK, verbosity=-1).fit(frame, target(frame, BINARY))
    for model in (boosted, light):
        with pytest.raises(RefusedError, match=r"reads categories\. Turn categories into numbers"):
            loaded(model, BINARY)


def test_a_mark_for_missing_values_that_the_file_would_forget_is_refused() -> None:
    model = xgboost.XGBClassifier(**QUICK, missing=-1).fit(rows(), target(rows(), BINARY))
    with pytest.raises(InputError, match="NaN means missing"):
        formats.to_file(model)


def test_nullable_columns_are_numbers() -> None:
    frame = rows().astype({"whole": "Int64"})
    frame.loc[3, "whole"] = pd.NA
    model = loaded(fitted("lightgbm", BINARY), BINARY)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(frame.astype("float64")))


# --- ONNX ----------------------------------------------------------------------------------------------------------


def onnx_of(classes: Any = (0, 1), *, by_column: bool, zipmap: bool) -> tuple[Any, bytes, pd.DataFrame]:
    frame = rows().fillna(0).astype("float32")
    labels = np.asarray(classes)[np.asarray(target(frame, SEVERAL if len(classes) == 3 else BINARY))]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, labels)
    example = frame if by_column else frame.to_numpy()
    graph = to_onnx(model, example[:1], options={"zipmap": zipmap}, target_opset=17)
    return model, graph.SerializeToString(), frame


def from_onnx(body: bytes, task: str, classes: Any) -> Any:
    return formats.from_file(formats.ONNX, body, trusted_types=[], task=task, classes=classes)


@pytest.mark.parametrize("by_column", [True, False])
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("classes", [(0, 1), ("no", "yes"), (0, 1, 2)])
def test_onnx_classifiers_answer_in_every_form(by_column: bool, zipmap: bool, classes: tuple[Any, ...]) -> None:
    model, body, frame = onnx_of(classes, by_column=by_column, zipmap=zipmap)
    again = from_onnx(body, SEVERAL if len(classes) == 3 else BINARY, list(classes))
    np.testing.assert_allclose(again.predict_proba(frame), model.predict_proba(frame), atol=1e-5)
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert again.columns == (("a", "b", "c", "whole") if by_column else None)
    assert again.width == 4


def test_an_onnx_regressor_answers() -> None:
    frame = rows().fillna(0).astype("float32")
    model = RandomForestRegressor(5, random_state=0).fit(frame, target(frame, NUMBER))
    again = from_onnx(to_onnx(model, frame.to_numpy()[:1], target_opset=17).SerializeToString(), NUMBER, None)
    np.testing.assert_allclose(again.predict(frame), model.predict(frame), rtol=1e-4)


def test_onnx_classes_in_the_wrong_order_do_not_pass() -> None:
    _, body, frame = onnx_of(("no", "yes"), by_column=False, zipmap=False)
    with pytest.raises(InputError, match="label to be its most probable class"):
        from_onnx(body, BINARY, ["yes", "no"]).predict_proba(frame)
    _, body, frame = onnx_of(("no", "yes"), by_column=False, zipmap=True)
    with pytest.raises(InputError, match="know the class 'maybe'"):
        from_onnx(body, BINARY, ["no", "maybe"]).predict_proba(frame)


def test_onnx_weights_outside_the_file_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx import TensorProto, helper

    (tmp_path / "weights").write_bytes(np.array([1, 2], np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    outside = TensorProto(name="w", data_type=1, dims=[2, 1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="weights")
    x, y = (helper.make_tensor_value_info(name, 1, [None, n]) for name, n in (("x", 2), ("y", 1)))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [outside])
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    with pytest.raises(InputError, match="stands alone"):
        from_onnx(body, NUMBER, None)


# --- what is refused -----------------------------------------------------------------------------------------------


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize(
    "file", ["model.pkl", "model.pickle", "model.joblib", "MODEL.PKL", "net.pth", "python_model.pkl"]
)
def test_a_pickle_is_refused_with_what_to_do_instead_and_never_opened(file: str, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"
    with pytest.raises(RefusedError, match=r"holds no code.*serialization_format='skops'.*booster_"):
        formats.from_file(file, pickle.dumps(Bomb(marker)), trusted_types=[], task=BINARY)
    assert not marker.exists()


@pytest.mark.parametrize("file", sorted(formats.FORMATS))
def test_a_pickle_under_a_good_name_is_refused_and_never_opened(file: str, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"
    with pytest.raises(InputError):
        formats.from_file(file, pickle.dumps(Bomb(marker)), trusted_types=[], task=BINARY)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists(), "the bomb works"


@pytest.mark.parametrize("file", ["model.h5", "model.keras", "saved_model.pb", "model", ""])
def test_any_other_file_is_refused(file: str) -> None:
    with pytest.raises(RefusedError, match=r"Expected one of model\.skops"):
        formats.from_file(file, b"", trusted_types=[], task=BINARY)


def test_a_type_that_the_spec_does_not_allow_is_refused_with_what_to_write() -> None:
    from sklearn.preprocessing import FunctionTransformer

    frame = rows()[["a"]]
    model = make_pipeline(FunctionTransformer(pd.notna), LogisticRegression()).fit(frame, target(rows(), BINARY))
    file, body = formats.to_file(model)
    with pytest.raises(RefusedError, match=r"(?s)types that the spec allows.*training\.trusted_types"):
        formats.from_file(file, body, trusted_types=[], task=BINARY)


def test_a_booster_inside_of_skops_is_refused_with_its_own_format() -> None:
    """MLflow's scikit-learn flavour wraps an LGBMClassifier so; trusting a dozen of its types is no remedy."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=2, verbose=-1).fit(rows()[["a"]], target(rows(), BINARY))
    with pytest.raises(RefusedError, match=r"lightgbm\.log_model\(model\.booster_") as refused:
        skopsfile.from_bytes(skops.io.dumps(model), [])
    assert "training.trusted_types" not in str(refused.value)


ALTERED = """
import random, sys
import numpy as np
from governance.errors import GovernanceError
from governance.training import formats, skopsfile
file, path, seed, task, classes = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], eval(sys.argv[5])
whole, draw = open(path, "rb").read(), random.Random(seed)
refused = 0
for number in range(150):
    body = bytearray(whole)
    if number % 3 == 0:
        body = body[: draw.randrange(len(body))]
    else:
        for _ in range(draw.choice([1, 3, 20])):
            body[draw.randrange(len(body))] = draw.choice([draw.randrange(256), 0, 255, draw.choice(b"0123456789- ")])
    try:
        model = formats.from_file(file, bytes(body), trusted_types=[], task=task, classes=classes)
        model.predict_proba(np.zeros((2, 4)))
    except GovernanceError:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize(("library", "seed"), [("xgboost", 1), ("lightgbm", 2)])
def test_a_file_that_is_cut_off_or_altered_is_an_error_and_not_the_end_of_the_process(
    library: str, seed: int, tmp_path: Path
) -> None:
    file, body = formats.to_file(fitted(library, SEVERAL))
    (tmp_path / file).write_bytes(body)
    command = [sys.executable, "-c", ALTERED, file, str(tmp_path / file), str(seed), SEVERAL, "[0, 1, 2]"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, env=_with_include())
    assert found.returncode == 0, found.stderr[-2000:]
    assert int(found.stdout) > 75


def _with_include() -> dict[str, str]:
    import os

    include = Path(formats.__file__).parents[2]
    return {**os.environ, "PYTHONPATH": str(include), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_walk_through_a_tree_always_ends(library: str) -> None:
    """A branch that leads back to a node above it would keep a prediction busy for ever."""
    file, body = formats.to_file(fitted(library, BINARY))
    if library == "xgboost":
        from governance.training import xgboostfile

        left = xgboostfile.read(body)["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"]
        child = int(left[left > 0][1])
        looped = left.copy()
        looped[child] = 1
        altered = body.replace(left.tobytes(), looped.tobytes(), 1)
    else:
        line = next(line for line in body.splitlines() if line.startswith(b"left_child="))
        numbers = line.removeprefix(b"left_child=").split(b" ")
        numbers[1] = b"1"
        altered = _resized(body, line, b"left_child=" + b" ".join(numbers))
    assert altered != body
    with pytest.raises(InputError, match="it lacks"):
        formats.from_file(file, altered, trusted_types=[], task=BINARY)


def _resized(body: bytes, old: bytes, new: bytes) -> bytes:
    """Alter the first tree, and its size at the head."""
    sizes = next(line for line in body.splitlines() if line.startswith(b"tree_sizes="))
    first, *others = sizes.removeprefix(b"tree_sizes=").split(b" ")
    size = b"%d" % (int(first) + len(new) - len(old))
    return body.replace(sizes, b"tree_sizes=" + b" ".join([size, *others]), 1).replace(old, new, 1)


@given(body=st.binary(max_size=200), file=st.sampled_from(sorted(formats.FORMATS)))
@settings(max_examples=60, deadline=None)
def test_noise_is_an_error_with_a_sentence(body: bytes, file: str) -> None:
    with pytest.raises(GovernanceError, match="Expected"):
        formats.from_file(file, body, trusted_types=[], task=random.choice([BINARY, NUMBER]))
