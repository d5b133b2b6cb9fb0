"""The house of the serving tests, with gates in front of its services."""

from tests.integration.serving.conftest import house, mlflow, postgres, scoring, serve, unserved

__all__ = ["house", "mlflow", "postgres", "scoring", "serve", "unserved"]
