"""What the trigger form of ``govern_<model>`` asks, and what it says of each field."""

from airflow.sdk import Param

from governance.pipeline.unasked import ON_SCHEDULE

FIELDS = {
    "bump": Param("minor", enum=["major", "minor", "patch"], description="What changes in the semantic version."),
    "parameters": Param({}, type="object", description='Training parameters to change, such as {"seed": 1}.'),
    "source": Param(
        None,
        type=["null", "string"],
        description="Other data: csv:FILE or parquet:FILE, a file in the model's folder or in data/MODEL/ of the "
        "checkout, and nowhere else, for nobody reviews it. Nothing means data.source of model.yaml; retraining.source "
        "is for runs that a monitor or the schedule starts.",
    ),
    "model_uri": Param(
        None,
        type=["null", "string"],
        description="A model that was trained elsewhere, as MLflow names it: models:/NAME/VERSION. It is taken through "
        "everything but training. Nothing means that the pipeline trains.",
    ),
}


def form(*, scheduled: bool) -> dict[str, Param]:
    """Return the form of a model's DAG.

    Args:
        scheduled: Whether Airflow also starts it by itself, for which the reason needs a value; a person's own is
            demanded all the same, when the run begins.
    """
    usual = ON_SCHEDULE if scheduled else ""
    reason = Param(usual, type="string", minLength=5, description="Why this run: a reviewer reads it.")
    return {"reason": reason, **FIELDS}
