"""How the loan model is trained: one function, called by the pipeline with training rows only."""

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TARGET = "approve"


def fit(frame, params, weights=None):
    """Fit a classifier of ``approve``.

    Args:
        frame: Training rows: the features that model.yaml names, and the target.
        params: ``algorithm`` (``boosting`` or ``logistic``), ``seed``, and the algorithm's own parameters.
        weights: Weight of each row, where the policy allows alternatives that need them.

    Returns:
        A fitted scikit-learn classifier.
    """
    params = dict(params)
    seed = params.pop("seed")
    algorithm = params.pop("algorithm")
    features, outcome = frame.drop(columns=TARGET), frame[TARGET]
    if algorithm == "boosting":
        return HistGradientBoostingClassifier(random_state=seed, **params).fit(features, outcome, weights)
    # The codes for "not recorded" (666, 999999) would dominate a linear model: the scaler sees them as outliers.
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(features, outcome, logisticregression__sample_weight=weights)
