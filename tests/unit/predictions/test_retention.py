"""No setting keeps less than a regulation asks for."""

import pytest

from governance.errors import InputError, RefusedError
from governance.predictions.retention import DEFAULT_DAYS, FLOORS, Retention, check


def test_the_floors_are_those_of_the_regulations():
    assert FLOORS["eu_ai_act"].days >= 184  # six months at their longest
    assert FLOORS["reg_b"].days >= 2 * 365 + 1 + 31  # 25 months at their longest
    assert FLOORS["reg_b"].days == DEFAULT_DAYS
    assert all(floor.source for floor in FLOORS.values())


@pytest.mark.parametrize(
    ("retention", "named"),
    [(Retention(183), "2024/1689"), (Retention(761, ("reg_b",)), "1002.12"), (Retention(0), "2024/1689")],
)
def test_a_setting_below_a_floor_is_refused_and_the_regulation_is_named(retention, named):
    with pytest.raises(RefusedError, match=named):
        check("loan", retention)


@pytest.mark.parametrize("retention", [Retention(184), Retention(761), Retention(762, ("reg_b", "eu_ai_act"))])
def test_a_setting_at_or_above_the_floor_is_fine(retention):
    check("loan", retention)


def test_a_regulation_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="found gdrp"):
        check("loan", Retention(800, ("gdrp",)))
