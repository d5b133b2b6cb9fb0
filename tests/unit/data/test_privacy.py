"""What people may see of a row."""

import pandas as pd

from governance.data.privacy import mask

ROWS = pd.DataFrame(
    {"race": [1, 0], "name": ["Ann", None], "born": pd.to_datetime(["1970-01-01", None]), "price": [3.5, 4]}
)


def test_protected_and_personal_columns_show_only_whether_there_is_a_value():
    masked = mask(ROWS, protected=["race"], personal=["name", "born"])

    assert masked["race"].tolist() == ["●●●", "●●●"]
    assert masked["name"].tolist() == ["●●●", "–"]
    assert masked["born"].tolist() == ["●●●", "–"]
    assert masked["price"].tolist() == [3.5, 4]


def test_masking_changes_nothing_in_the_rows_themselves():
    before = ROWS.copy()

    mask(ROWS, protected=ROWS.columns)

    pd.testing.assert_frame_equal(ROWS, before)


def test_columns_that_are_not_there_need_no_mask():
    pd.testing.assert_frame_equal(mask(ROWS, personal=["phone"]), ROWS)
