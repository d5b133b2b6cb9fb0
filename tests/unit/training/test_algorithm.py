"""What a version's algorithm is called in lineage."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from governance.training.candidate import algorithm_of


def test_an_estimator_is_called_by_its_class_and_a_pipeline_by_that_of_its_last_step():
    assert algorithm_of(LogisticRegression()) == "LogisticRegression"
    assert algorithm_of(make_pipeline(StandardScaler(), make_pipeline(LogisticRegression()))) == "LogisticRegression"
