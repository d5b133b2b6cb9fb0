"""Protected attributes, proposed by name."""

import numpy as np
import pandas as pd
import pytest
from drafts import looked_at

from governance.drafting import attributes, names
from governance.errors import InputError

N = 60


def spread(*values):
    return [values[i % len(values)] for i in range(N)]


def proposed(**columns):
    frame = pd.DataFrame({"y": spread(0, 1), **columns})
    return {one.name: one for one in attributes.proposed(looked_at(frame), "y")}


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("sex", "sex"),
        ("GenderCode", "sex"),
        ("geschlecht", "sex"),
        ("is_female", "sex"),
        ("Race", "race"),
        ("hispan", "race"),
        ("nonwhite", "race"),
        ("age", "age"),
        ("Age in years", "age"),
        ("agesq", "age"),
        ("married", "marital status"),
        ("marital-status", "marital status"),
        ("religion", "religion"),
        ("disabled", "disability"),
        ("native.country", "nationality"),
        ("nativeCountry", "nationality"),
        ("pregnant", "pregnancy"),
        ("mortgage", None),
        ("wage", None),
        ("package", None),
        ("blackberry", None),
        ("income", None),
    ],
)
def test_a_name_speaks_by_whole_words(name, attribute):
    assert names.attribute_of(name) == attribute


def test_indicators_are_one_attribute():
    found = proposed(black=spread(1, 0, 0), hispan=spread(0, 1, 0), white=spread(0, 0, 1))

    assert found["race"].written.indicators == {"Black": "black", "Hispanic": "hispan", "White": "white"}
    assert found["race"].written.otherwise is None
    assert found["race"].sizes == {"Black": 20, "Hispanic": 20, "White": 20}


def test_who_is_in_no_group_of_race_is_taken_for_white_and_a_person_must_decide():
    race = proposed(black=spread(1, 0, 0), hispan=spread(0, 1, 0))["race"]

    assert race.written.otherwise == "White"
    assert race.sizes == {"White": 20, "Black": 20, "Hispanic": 20}
    assert "decide" in race.notes[0]


def test_who_is_in_no_group_beside_white_is_of_the_others():
    assert proposed(black=spread(1, 0, 0), white=spread(0, 1, 0))["race"].written.otherwise == "others"


def test_indicators_that_overlap_are_attributes_of_their_own():
    found = proposed(black=spread(1, 1, 0, 0), hispan=spread(0, 1, 1, 0))

    assert sorted(found) == ["race: black", "race: hispan"]
    assert found["race: black"].written.values == {"Black": 1, "not Black": 0}


@pytest.mark.parametrize(
    ("column", "values", "groups"),
    [
        ("male", [0, 1], {"men": 1, "women": 0}),
        ("female", [0, 1], {"women": 1, "men": 0}),
        ("is_male", [False, True], {"men": True, "women": False}),
        ("sex", ["f", "m"], None),
        ("sex", [1, 2], None),
    ],
)
def test_sex_in_its_forms(column, values, groups):
    found = proposed(**{column: spread(*values)})["sex"].written

    assert (found.column, found.values) == (column, groups)


@pytest.mark.parametrize(
    ("ages", "bands"),
    [
        (range(20, 80), [40, 62]),
        (range(20, 60), [40]),
        (range(45, 60), [52]),
        (range(40, 90), [62]),
        (range(18, 39), [28]),
    ],
    ids=["both bounds", "nobody over 62", "between them", "nobody under 40", "the young"],
)
def test_age_is_cut_where_the_law_cuts_it_and_no_band_is_empty(ages, bands):
    age = proposed(age=(list(ages) * N)[:N] if len(ages) < N else list(ages)[:N])["age"]

    assert age.written.bands == bands
    assert len(age.sizes) == len(bands) + 1


def test_a_year_of_birth_is_no_age():
    assert "age" not in proposed(birthyear=list(range(1940, 1940 + N)))


def test_what_says_the_same_is_proposed_once():
    age = list(range(20, 80))
    found = proposed(age=age, agesq=[a * a for a in age], male=spread(0, 1), female=spread(1, 0))

    assert found["age"].columns == ("age",)
    assert found["sex"].columns == ("male",)


@pytest.mark.parametrize(
    "values",
    [spread(1), list(np.linspace(0, 1, N)), [None] * N, list(pd.date_range("2020", periods=N))],
    ids=["one group", "a share", "nothing", "times"],
)
def test_what_holds_no_groups_is_not_proposed(values):
    assert proposed(black=values) == {}


def test_the_target_is_not_proposed():
    assert attributes.proposed(looked_at(pd.DataFrame({"married": spread(0, 1)})), "married") == []


class TestNamedByAPerson:
    FRAME = pd.DataFrame({"y": spread(0, 1), "x7": spread("a", "b"), "income": np.linspace(0, 1, N)})

    def named(self, *columns):
        return attributes.named(looked_at(self.FRAME), columns, "y")

    def test_a_column_is_an_attribute_by_its_own_name(self):
        (one,) = self.named("x7")

        assert (one.name, one.sizes) == ("x7", {"a": 30, "b": 30})

    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            ("incom", "Did you mean `income`"),
            ("y", "cannot be a protected attribute"),
            ("income", r"Expected 2 to 20 groups in the protected column 'income', found 0 to 1, decimal \(60"),
        ],
    )
    def test_what_holds_no_groups_is_refused(self, column, expected):
        with pytest.raises(InputError, match=expected):
            self.named(column)
