"""A logistic regression: quick to train."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def fit(frame, params):
    """Fit participation on everything else."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return model.fit(frame.drop(columns="inlf"), frame["inlf"])
