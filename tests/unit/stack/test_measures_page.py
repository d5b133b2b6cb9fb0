"""``docs/measures.md`` says what the code says."""

from stack import measures_page


def test_the_page_is_current() -> None:
    assert measures_page.PAGE.read_text() == measures_page.page(), "run `make docs`"


def test_every_measure_states_its_formula_and_source() -> None:
    assert measures_page.undocumented() == []


def test_what_a_tier_demands_stands_beside_the_measure() -> None:
    (row,) = [line for line in measures_page.page().splitlines() if "`fairness.disparate_impact_ratio`" in line]
    assert row.endswith("| ≥ 0.8 | ≥ 0.8 | ≥ 0.8 |")
