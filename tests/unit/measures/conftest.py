"""One thread for all: on a busy machine, threads that wait for each other make boosting a hundred times slower."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    import sklearn.ensemble  # noqa: F401  (loads the library whose threads are to be limited)

    with threadpool_limits(1):
        yield
