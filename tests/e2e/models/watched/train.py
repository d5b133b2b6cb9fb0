"""A logistic regression that copes with what is missing."""

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def fit(frame, params):
    """Fit participation on everything else."""
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    return model.fit(frame.drop(columns="inlf"), frame["inlf"])
