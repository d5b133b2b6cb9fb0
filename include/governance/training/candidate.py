"""A candidate: the scores that judge it, and the signed files that would be released.

With cross-validation the out-of-fold scores are estimates of the procedure, and the final fit uses all rows; so what
is released was not itself measured on unseen rows. The evidence says so, and the final bytes must as a whole answer as
the procedure did (:class:`Consistency`, §10.8). With a holdout the measured bytes are the released bytes.

Everything is deterministic: the same rows, recipe and code give the same scores and the same artifact digest.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from governance import canonical
from governance.errors import TamperedError
from governance.training import mlmodel
from governance.training.artifacts import (
    DESCRIPTION,
    Description,
    LoadedModel,
    Manifest,
    open_model,
    read_folder,
    write_artifact,
)
from governance.training.fits import Fitter, Recipe, Scores
from governance.training.split import JUDGING, Plan
from governance.training.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from governance.keys import Signer

ARTIFACT, DOCUMENT, OUT_OF_FOLD, FINAL = "artifact", "candidate.json", "out_of_fold.parquet", "final.parquet"

TOLERANCE = 0.05
"""How far the answers of the final bytes may as a whole be from those of the procedure."""


@dataclass(frozen=True)
class Consistency:
    """Do the final bytes answer as the procedure did that was measured?

    Attributes:
        gap: How far apart their answers to the same rows are: the difference of selection rates, of the shares of
            classes, or of means in standard deviations (:meth:`governance.training.tasks.Task.gap`).
        tolerance: How far apart they may be.
    """

    gap: float
    tolerance: float = TOLERANCE

    @property
    def agrees(self) -> bool:
        """Whether they are within the tolerance."""
        return self.gap <= self.tolerance

    def to_dict(self) -> dict[str, float | bool]:
        """Return the JSON form."""
        return {**self.__dict__, "agrees": self.agrees}

    @classmethod
    def from_dict(cls, document: Mapping[str, float]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(document["gap"], document["tolerance"])


@dataclass(frozen=True, eq=False)
class Candidate:
    """A trained candidate in its working folder.

    Attributes:
        folder: The working folder; the signed files are in ``folder / "artifact"``.
        recipe: What it was made by.
        manifest: The signed files; ``manifest.digest`` is the artifact digest.
        out_of_fold: ``row``, ``repetition``, ``label``, ``score`` (and one of each class), ``prediction``: one row for
            each row and repetition.
        final: The same without ``repetition``, of the final bytes, for the rows that judge. With cross-validation it
            has seen them: for how it answers as a whole, never for performance.
        consistency: Whether both answer alike.
        task: What it answers.
        algorithm: The class of its estimator; ``None`` where it was read back from files.
    """

    folder: Path
    recipe: Recipe
    manifest: Manifest
    out_of_fold: "pd.DataFrame"
    final: "pd.DataFrame"
    consistency: Consistency
    task: Task
    algorithm: str | None = None

    @property
    def artifact(self) -> Path:
        """The signed model directory."""
        return self.folder / ARTIFACT

    @property
    def judged(self) -> "pd.DataFrame":
        """The predictions that judge, by row."""
        return self.repetition(JUDGING)

    def repetition(self, number: int) -> "pd.DataFrame":
        """Return the predictions of one repetition, by row."""
        return self.out_of_fold[self.out_of_fold["repetition"] == number].reset_index(drop=True)

    def scores(self) -> dict[int, Scores]:
        """Return the scores by repetition, as the search for alternatives takes them."""
        frames = {int(r): self.repetition(int(r)) for r in self.out_of_fold["repetition"].unique()}
        return {r: Scores(frame["row"].to_numpy(), self.task.from_columns(frame)) for r, frame in frames.items()}


def train_candidate(
    fitter: Fitter, recipe: Recipe, plan: Plan, description: Description, folder: Path, *, signer: "Signer"
) -> Candidate:
    """Measure a recipe on every repetition, fit the final model, and write both.

    Args:
        fitter: The sandbox with the rows.
        recipe: What to make.
        plan: Which rows train and which judge.
        description: What the model means; its features and threshold are replaced by the recipe's.
        folder: Working folder; what an earlier attempt left there is replaced.
        signer: The pipeline's key for artifacts.

    Raises:
        InputError: The folder's code failed; the message says where.
        RefusedError: The model holds a type that the spec does not allow.
    """
    described = described_by(description, recipe)
    writing = folder.with_name(f".{folder.name}.part")
    for leftover in (writing, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    # The others choose a threshold or an alternative; where there is none to choose, they need no fit.
    procedure = [*([] if plan.final_judges else [JUDGING]), *(plan.choosing if fitter.data.task.threshold else [])]
    scores = fitter.out_of_fold([recipe], plan, procedure)[0]
    estimator = fitter.fit(recipe, plan.final)
    beside = mlmodel.files(described, fitter.data.features.iloc[plan.final])
    manifest = write_artifact(writing / ARTIFACT, estimator, described, signer=signer, beside=beside)
    model = _reopened(writing / ARTIFACT, manifest, fitter)
    final = _final_scores(model, fitter, plan)
    scores.setdefault(JUDGING, final)
    made = _written(writing, folder, recipe, manifest, _tables(scores, final, fitter, recipe), fitter.data.task)
    return replace(made, algorithm=algorithm_of(estimator))


def algorithm_of(estimator: Any) -> str:
    """Return the class that learns, of a pipeline its last step: ``HistGradientBoostingClassifier``."""
    steps = getattr(estimator, "steps", None)
    return algorithm_of(steps[-1][1]) if steps else type(estimator).__name__


def described_by(description: Description, recipe: Recipe) -> Description:
    """Return a description of what a recipe makes: without the dropped features, with its threshold."""
    features = tuple(feature for feature in description.features if feature.name not in recipe.dropped)
    return replace(description, features=features, threshold=recipe.threshold)


def load_candidate(folder: Path) -> Candidate:
    """Read back what :func:`train_candidate` wrote.

    The files are not verified: ``load_artifact`` does that, for whoever acts on them.
    """
    import pandas as pd

    document = canonical.from_bytes((folder / DOCUMENT).read_bytes())
    manifest = Manifest(tuple(document["artifact"]["files"]))
    return Candidate(
        folder,
        Recipe.from_dict(document["recipe"]),
        manifest,
        pd.read_parquet(folder / OUT_OF_FOLD),
        pd.read_parquet(folder / FINAL),
        Consistency.from_dict(document["consistency"]),
        _description_of(read_folder(folder / ARTIFACT)).asked,
    )


def _reopened(folder: Path, manifest: Manifest, fitter: Fitter) -> LoadedModel:
    bodies = read_folder(folder)
    description = _description_of(bodies)
    if canonical.digest_of_bytes(bodies[description.file]) not in [file["sha256"] for file in manifest.files]:
        raise TamperedError(f"Expected the {description.file} that was just written to {folder}, found other bytes.")
    return LoadedModel(description, manifest.digest, open_model(bodies, folder, description, fitter.trusted_types))


def _description_of(bodies: Mapping[str, bytes]) -> Description:
    return Description.from_dict(canonical.from_bytes(bodies[DESCRIPTION]))


def _final_scores(model: LoadedModel, fitter: Fitter, plan: Plan) -> Scores:
    rows = np.sort(np.concatenate([fold.test for fold in plan.repetitions[JUDGING]]))
    return Scores(rows, model.score(fitter.data.features.iloc[rows]))


Tables = tuple["pd.DataFrame", "pd.DataFrame"]


def _tables(scores: Mapping[int, Scores], final: Scores, fitter: Fitter, recipe: Recipe) -> Tables:
    import pandas as pd

    labels, task = fitter.data.labels, fitter.data.task

    def table(found: Scores, **more: int) -> "pd.DataFrame":
        columns: dict[str, Any] = {"row": found.rows, **more, "label": labels[found.rows]}
        answers = task.decide(found.scores, recipe.threshold)
        return pd.DataFrame({**columns, **task.columns(found.scores), "prediction": answers})

    repetitions = [table(scores[r], repetition=r) for r in sorted(scores)]
    return pd.concat(repetitions, ignore_index=True), table(final)


def _written(writing: Path, folder: Path, recipe: Recipe, manifest: Manifest, tables: Tables, task: Task) -> Candidate:
    out_of_fold, final = tables
    judged = out_of_fold[out_of_fold["repetition"] == JUDGING]
    both = [frame.sort_values("row")["prediction"].to_numpy() for frame in (judged, final)]
    consistency = Consistency(task.gap(*both))
    document = {
        "recipe": recipe.to_dict(),
        "artifact": {"manifest": manifest.digest, "files": [dict(file) for file in manifest.files]},
        "consistency": consistency.to_dict(),
    }
    out_of_fold.to_parquet(writing / OUT_OF_FOLD)
    final.to_parquet(writing / FINAL)
    (writing / DOCUMENT).write_bytes(canonical.to_bytes(document))
    writing.rename(folder)
    return Candidate(folder, recipe, manifest, out_of_fold, final, consistency, task)
