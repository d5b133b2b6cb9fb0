"""How the digits model is trained: one function, called by the pipeline with training rows only."""

from xgboost import XGBClassifier

TARGET = "target"


def fit(frame, params):
    """Fit a classifier of ``target``.

    Args:
        frame: Training rows: the features that model.yaml names, and the target.
        params: ``seed``, and the parameters of the booster.

    Returns:
        A fitted XGBoost classifier; it is kept in XGBoost's own format, which holds trees and no code.
    """
    params = dict(params)
    seed = params.pop("seed")
    model = XGBClassifier(tree_method="hist", n_jobs=1, random_state=seed, **params)
    return model.fit(frame.drop(columns=TARGET), frame[TARGET])
