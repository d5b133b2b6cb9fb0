"""How the wage model is trained: one function, called by the pipeline with training rows only."""

from sklearn.ensemble import HistGradientBoostingRegressor

TARGET = "wage"


def fit(frame, params):
    """Fit a regression of ``wage``.

    Args:
        frame: Training rows: the features that model.yaml names, and the target.
        params: ``seed``, and the parameters of the booster.

    Returns:
        A fitted scikit-learn regressor.
    """
    params = dict(params)
    seed = params.pop("seed")
    return HistGradientBoostingRegressor(random_state=seed, **params).fit(frame.drop(columns=TARGET), frame[TARGET])
