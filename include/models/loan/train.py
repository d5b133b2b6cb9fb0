"""How the loan model is trained: one function, called by the pipeline with training rows only."""

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TARGET = "approve"


def fit(frame, params):
    """Fit a classifier of ``approve``.

    Args:
        frame: Training rows: the features that model.yaml names, and the target.
        params: ``algorithm`` (``boosting`` or ``logistic``), ``seed``, and the algorithm's own parameters.

    Returns:
        A fitted scikit-learn classifier.
    """
    params = dict(params)
    seed = params.pop("seed")
    algorithm = params.pop("algorithm")
    if algorithm == "boosting":
        model = HistGradientBoostingClassifier(random_state=seed, **params)
    else:
        # The codes for "not recorded" (666, 999999) would dominate a linear model: the scaler sees them as outliers.
        model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(frame.drop(columns=TARGET), frame[TARGET])
