"""A model that was trained elsewhere: read as MLflow wrote it, laid beside the spec, and never run."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from governance.canonical import digest_of_bytes
from governance.errors import InputError, RefusedError
from governance.keys import Signer
from governance.training import mlmodel
from governance.training.artifacts import describe, write_artifact
from governance.training.fetch import fetch_model
from governance.training.imported import Imported, find, import_model
from tests.unit.training.elsewhere import FEATURES, boosted, light, rows, saved, spec_of


def imported(folder: Path, task: str = "binary_classification", **options: Any) -> Imported:
    return import_model(folder, spec_of(task, **options), rows()[FEATURES])


def rewritten(folder: Path, change: Any) -> Path:
    """Change what ``MLmodel`` says."""
    document = yaml.safe_load((folder / "MLmodel").read_text())
    change(document)
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[Path, bytes]:
    """A file that must not appear, and a pickle that makes it when it is opened."""
    marker = tmp_path / "it-was-run"

    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(marker),))

    return marker, pickle.dumps(Bomb())


# --- what comes in -------------------------------------------------------------------------------------------------


def test_a_model_of_xgboost_says_what_it_said_elsewhere(tmp_path: Path) -> None:
    model = boosted()
    found = imported(saved("xgboost", model, tmp_path / "m", signature=infer_signature(rows()[FEATURES])))
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict_proba(rows()[FEATURES])[:, 1])
    assert found.source["flavour"] == "xgboost"
    assert found.source["digest"] == digest_of_bytes((tmp_path / "m" / "model.ubj").read_bytes())
    assert found.description.threshold == 0.5


def test_a_model_of_xgboost_in_json_becomes_one_in_its_binary_form(tmp_path: Path) -> None:
    model = boosted()
    found = imported(saved("xgboost", model, tmp_path / "m", model_format="json"))
    assert found.source["file"] == "model.json"
    assert found.estimator.file == "model.ubj"
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict_proba(rows()[FEATURES])[:, 1])


def test_a_booster_of_lightgbm_says_what_it_said_elsewhere(tmp_path: Path) -> None:
    model = light()
    found = imported(saved("lightgbm", model.booster_, tmp_path / "m"))
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict_proba(rows()[FEATURES])[:, 1])


def test_a_model_of_scikit_learn_in_skops_says_what_it_said_elsewhere(tmp_path: Path) -> None:
    model = LogisticRegression().fit(rows()[FEATURES].fillna(0), rows()["paid"])
    folder = saved("sklearn", model, tmp_path / "m", serialization_format="skops")
    found = import_model(folder, spec_of(), rows()[FEATURES].fillna(0))
    expected = model.predict_proba(rows()[FEATURES].fillna(0))[:, 1]
    np.testing.assert_array_equal(found.loaded.score(rows().fillna(0)), expected)


@pytest.mark.parametrize("by_column", [True, False])
def test_a_model_in_onnx_says_what_it_said_elsewhere(tmp_path: Path, by_column: bool) -> None:
    frame = rows()[FEATURES].fillna(0).astype("float32")
    model = make_pipeline(FunctionTransformer(), LogisticRegression()).fit(frame, rows()["paid"])
    graph = to_onnx(model, frame[:1] if by_column else frame.to_numpy()[:1], target_opset=17)
    signature = None if by_column else infer_signature(frame)
    folder = saved("onnx", graph, tmp_path / "m", signature=signature, save_as_external_data=False)
    found = import_model(folder, spec_of(), frame)
    np.testing.assert_allclose(found.loaded.score(frame), model.predict_proba(frame)[:, 1], atol=1e-5)


@pytest.mark.parametrize(("flavour", "make"), [("xgboost", boosted), ("lightgbm", light)])
def test_a_regression_comes_in_without_a_threshold(tmp_path: Path, flavour: str, make: Any) -> None:
    model = make(target="loss")
    found = imported(saved(flavour, getattr(model, "booster_", model), tmp_path / "m"), "regression")
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict(rows()[FEATURES]))
    assert found.description.threshold is None
    assert found.notes == ()


def test_a_file_by_itself_comes_in_too(tmp_path: Path) -> None:
    boosted().save_model(tmp_path / "best-of-june.ubj")
    fetched = fetch_model(str(tmp_path / "best-of-june.ubj"), tmp_path / "into", tracking_url=None, reviewed=True)
    assert imported(fetched.folder).source["file"] == "best-of-june.ubj"


def test_a_model_that_this_pipeline_signed_can_be_looked_at_again(tmp_path: Path) -> None:
    from dataclasses import replace

    model, spec = boosted(), spec_of()
    described = replace(describe(spec, rows()[FEATURES]), threshold=0.3)
    beside = mlmodel.files(described, rows()[FEATURES])
    write_artifact(tmp_path / "m", model, described, signer=Signer.passing("artifact"), beside=beside)
    found = imported(tmp_path / "m")
    assert (found.source["flavour"], found.description.threshold) == ("governance", 0.3)
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict_proba(rows()[FEATURES])[:, 1])


# --- beside the spec -----------------------------------------------------------------------------------------------


def test_columns_in_another_order_are_read_by_their_names(tmp_path: Path) -> None:
    order = ["income", "age", "debt"]
    model = boosted(order)
    found = imported(saved("xgboost", model, tmp_path / "m"))
    assert found.description.columns == order
    np.testing.assert_array_equal(found.loaded.score(rows()), model.predict_proba(rows()[order])[:, 1])


def test_columns_without_names_are_taken_in_the_order_of_the_signature(tmp_path: Path) -> None:
    order = ["income", "age", "debt"]
    frame = rows()[order].fillna(0).astype("float32")
    model = LinearRegression().fit(frame.to_numpy(), rows()["loss"])
    graph = to_onnx(model, frame.to_numpy()[:1], target_opset=17)
    found = import_model(
        saved("onnx", graph, tmp_path / "m", signature=infer_signature(frame), save_as_external_data=False),
        spec_of("regression"),
        rows()[FEATURES].fillna(0),
    )
    assert found.description.columns == order
    np.testing.assert_allclose(found.loaded.score(rows().fillna(0)), model.predict(frame.to_numpy()), rtol=1e-4)


def test_columns_without_any_name_are_said_to_be_taken_in_the_spec_s_order(tmp_path: Path) -> None:
    model = boosted()
    model.get_booster().feature_names = None
    found = imported(saved("xgboost", model, tmp_path / "m"))
    assert "does not name its columns" in " ".join(found.notes)
    assert found.description.columns == FEATURES


def test_a_feature_that_the_model_does_not_read_is_named_and_left_out(tmp_path: Path) -> None:
    found = imported(saved("xgboost", boosted(["age", "income"]), tmp_path / "m"))
    assert (found.unread, found.description.columns) == (("debt",), ["age", "income"])
    assert "It does not read debt." in found.notes


def test_a_column_that_is_no_feature_is_refused_with_every_difference(tmp_path: Path) -> None:
    import xgboost

    frame = rows()[["age", "income"]].assign(race=1, sex=0)
    folder = saved("xgboost", xgboost.XGBClassifier(n_estimators=2).fit(frame, rows()["paid"]), tmp_path / "m")
    with pytest.raises(InputError, match=r"one that reads race, sex\. It does not read debt\."):
        imported(folder)


def test_a_signature_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    other = infer_signature(rows()[["age", "debt"]])
    with pytest.raises(InputError, match="only in the file income"):
        imported(saved("xgboost", boosted(), tmp_path / "m", signature=other))


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="objective reg:squarederror"):
        imported(saved("xgboost", boosted(target="loss"), tmp_path / "m"))


def test_the_order_of_classes_is_that_of_the_metadata(tmp_path: Path) -> None:
    model = light(target="grade")
    assert model.classes_.tolist() == ["high", "low", "mid"]
    said = {"classes": model.classes_.tolist()}
    found = imported(saved("lightgbm", model.booster_, tmp_path / "m", metadata=said), "multiclass_classification")
    expected = model.predict_proba(rows()[FEATURES])[:, [1, 2, 0]]
    np.testing.assert_array_equal(found.loaded.score(rows()), expected)
    assert not any("taken to be" in note for note in found.notes)


def test_where_nobody_says_the_order_of_classes_a_reviewer_is_told_which_was_taken(tmp_path: Path) -> None:
    found = imported(saved("lightgbm", light(target="grade").booster_, tmp_path / "m"), "multiclass_classification")
    assert any("low, mid, high" in note for note in found.notes)


@pytest.mark.parametrize("classes", [["low", "mid"], ["low", "mid", "other"], "low", ["low", "low", "high"]])
def test_classes_in_the_metadata_that_are_not_the_spec_s_are_refused(tmp_path: Path, classes: Any) -> None:
    folder = saved("lightgbm", light(target="grade").booster_, tmp_path / "m", metadata={"classes": classes})
    with pytest.raises(InputError, match="classes in the metadata"):
        imported(folder, "multiclass_classification")


def test_the_threshold_is_that_of_the_metadata(tmp_path: Path) -> None:
    assert (
        imported(saved("xgboost", boosted(), tmp_path / "m", metadata={"threshold": 0.2})).description.threshold == 0.2
    )


@pytest.mark.parametrize("threshold", [2, -0.1, "0.5", True, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(tmp_path: Path, threshold: Any) -> None:
    with pytest.raises(InputError, match="threshold from 0 to 1"):
        imported(saved("xgboost", boosted(), tmp_path / "m", metadata={"threshold": threshold}))


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pickle", "cloudpickle"])
def test_a_pickled_model_is_refused_with_what_to_do_instead_and_never_opened(
    tmp_path: Path, form: str, bomb: tuple[Path, bytes]
) -> None:
    model = LogisticRegression().fit(rows()[FEATURES].fillna(0), rows()["paid"])
    folder = saved("sklearn", model, tmp_path / "m", serialization_format=form)
    (folder / "model.pkl").write_bytes(bomb[1])
    with pytest.raises(RefusedError, match=r"model\.pkl.*serialization_format='skops'"):
        imported(folder)
    assert not bomb[0].exists()


def test_a_pickle_that_calls_itself_skops_is_refused_and_never_opened(tmp_path: Path, bomb: tuple[Path, bytes]) -> None:
    model = LogisticRegression().fit(rows()[FEATURES].fillna(0), rows()["paid"])
    folder = saved("sklearn", model, tmp_path / "m", serialization_format="skops")
    (folder / "model.skops").write_bytes(bomb[1])
    with pytest.raises(InputError, match="skops' format"):
        imported(folder)
    assert not bomb[0].exists()
    pickle.loads(bomb[1])
    assert bomb[0].exists(), "the bomb works"


def test_code_beside_a_model_is_not_run(tmp_path: Path, bomb: tuple[Path, bytes]) -> None:
    code = tmp_path / "helpers.py"
    code.write_text(f"import os; os.mkdir({str(bomb[0])!r})")
    folder = saved("xgboost", boosted(), tmp_path / "m", code_paths=[str(code)])
    (folder / "python_model.pkl").write_bytes(bomb[1])
    rewritten(folder, lambda said: said["flavors"]["python_function"].update(loader_module="helpers"))
    assert imported(folder).source["flavour"] == "xgboost"
    assert not bomb[0].exists()


def test_a_model_of_python_functions_is_refused(tmp_path: Path) -> None:
    folder = rewritten(saved("xgboost", boosted(), tmp_path / "m"), lambda said: said["flavors"].pop("xgboost"))
    with pytest.raises(RefusedError, match=r"python_function alone.*mlflow\.onnx"):
        imported(folder)


def test_types_that_the_file_trusts_are_not_trusted_for_that(tmp_path: Path) -> None:
    trusted = ["lightgbm.sklearn.LGBMClassifier", "lightgbm.basic.Booster", "collections.OrderedDict"]
    folder = saved("lightgbm", light(), tmp_path / "m", serialization_format="skops", skops_trusted_types=trusted)
    assert "lightgbm.basic.Booster" in (folder / "MLmodel").read_text()
    with pytest.raises(RefusedError, match=r"(?s)types that the spec allows.*LGBMClassifier.*Save it in that"):
        imported(folder)
    assert imported(folder, trusted=", ".join(trusted)).description.columns == FEATURES


@pytest.mark.parametrize("name", ["../outside.ubj", "/etc/hostname", "data/../../x.ubj", "", "."])
def test_a_file_outside_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    boosted().save_model(tmp_path / "outside.ubj")
    folder = rewritten(
        saved("xgboost", boosted(), tmp_path / "m"), lambda said: said["flavors"]["xgboost"].update(data=name)
    )
    with pytest.raises((InputError, RefusedError)):
        imported(folder)


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = saved("xgboost", boosted(), tmp_path / "m")
    (folder / "model.ubj").rename(tmp_path / "outside.ubj")
    (folder / "model.ubj").symlink_to(tmp_path / "outside.ubj")
    with pytest.raises(InputError, match="found none"):
        imported(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", "flavors: 3", "flavors: {}", "a: b: c", "flavors: {xgboost: {}}", "x: !!python/object:os.system {}"],
)
def test_an_mlmodel_of_another_form_is_an_error_with_a_sentence(tmp_path: Path, text: str) -> None:
    folder = saved("xgboost", boosted(), tmp_path / "m")
    (folder / "MLmodel").write_text(text)
    with pytest.raises((InputError, RefusedError), match="Expected"):
        imported(folder)


@pytest.mark.parametrize("inputs", ["{", json.dumps([1]), json.dumps({"name": 1})])
def test_a_signature_of_another_form_is_an_error_with_a_sentence(tmp_path: Path, inputs: str) -> None:
    folder = saved("xgboost", boosted(), tmp_path / "m", signature=infer_signature(rows()[FEATURES]))
    rewritten(folder, lambda said: said["signature"].update(inputs=inputs))
    with pytest.raises(InputError, match="signature of columns"):
        imported(folder)


def test_a_folder_without_a_model_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(InputError, match=r"found notes\.md"):
        find(tmp_path)
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(RefusedError, match="holds no code"):
        find(tmp_path)


# --- where models may come from ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["/etc", "file:///etc/passwd", "models", "../up", "s3://bucket/model", "http://host/model", "dbfs:/x", "~/m"]
)
def test_who_may_trigger_a_run_may_not_read_through_it_what_the_worker_may_read(tmp_path: Path, uri: str) -> None:
    with pytest.raises(RefusedError, match="may not read through it"):
        fetch_model(uri, tmp_path / "into", tracking_url="http://127.0.0.1:9", reviewed=False)


@pytest.mark.parametrize("uri", ["http://host/model", "dbfs:/x", "ftp://host/x"])
def test_nobody_fetches_by_another_scheme(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="Expected models:"):
        fetch_model(uri, tmp_path / "into", tracking_url=None, reviewed=True)


def test_a_model_in_mlflow_needs_its_address(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GOVERNANCE_MLFLOW_URL"):
        fetch_model("models:/credit/1", tmp_path / "into", tracking_url=None, reviewed=True)


def test_a_path_where_nothing_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing there"):
        fetch_model(str(tmp_path / "no"), tmp_path / "into", tracking_url=None, reviewed=True)


def test_links_in_a_local_folder_are_not_copied(tmp_path: Path) -> None:
    folder = saved("xgboost", boosted(), tmp_path / "m")
    (folder / "passwd").symlink_to("/etc/passwd")
    fetched = fetch_model(folder.as_uri(), tmp_path / "into", tracking_url=None, reviewed=True)
    assert not (fetched.folder / "passwd").exists()
    assert imported(fetched.folder).description.columns == FEATURES
