import pytest

from stack.licences import is_strong_copyleft


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-only",
        "GPLv3",
        "AGPL-3.0-or-later",
        "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3",
        "MIT AND GPL-2.0-only",
        "SSPL-1.0",
    ],
)
def test_strong_copyleft_is_refused(licence: str) -> None:
    assert is_strong_copyleft(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "Apache Software License",
        "LGPL-3.0-only",
        "GNU Library or Lesser General Public License (LGPL)",
        "MPL-2.0 AND MIT",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "Artistic License; GNU General Public License (GPL)",  # to choose from
        "GPL-2.0-or-later OR MIT",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "",
    ],
)
def test_weak_copyleft_and_a_choice_of_licences_are_allowed(licence: str) -> None:
    assert not is_strong_copyleft(licence)
