"""A model that accepts nothing but a categorical town."""

import pandas as pd


class Towns:
    def predict(self, rows):
        if not isinstance(rows["town"].dtype, pd.CategoricalDtype) or not rows["income"].isna().all():
            raise TypeError(f"unexpected types {dict(rows.dtypes)}")


def load(folder):
    return Towns()
