"""What Prometheus reads."""

from governance.serving.metrics import Metrics


def test_requests_rows_and_times_are_counted():
    metrics = Metrics()
    metrics.count("loan", 200, rows=3, seconds=0.002)
    metrics.count("loan", 422, rows=0, seconds=2.0)

    lines = metrics.text(["one_gauge 1"]).splitlines()

    assert 'governance_scoring_requests_total{model="loan",status="200"} 1' in lines
    assert 'governance_scoring_requests_total{model="loan",status="422"} 1' in lines
    assert 'governance_scoring_rows_total{model="loan"} 3' in lines
    assert 'governance_scoring_seconds_bucket{model="loan",le="0.001"} 0' in lines
    assert 'governance_scoring_seconds_bucket{model="loan",le="0.0025"} 1' in lines
    assert 'governance_scoring_seconds_bucket{model="loan",le="+Inf"} 2' in lines
    assert 'governance_scoring_seconds_count{model="loan"} 2' in lines
    assert lines[-1] == "one_gauge 1"


def test_nothing_asked_is_no_line_but_the_types():
    assert all(line.startswith("# TYPE") for line in Metrics().text([]).splitlines())


def test_a_name_with_quotes_and_new_lines_stays_inside_its_label():
    metrics = Metrics()
    metrics.count('a"} 1\nfake 2\\', 200, rows=1, seconds=0.1)

    lines = metrics.text([]).splitlines()

    assert not any(line.startswith("fake") for line in lines)
    assert r'governance_scoring_rows_total{model="a\"} 1\nfake 2\\"} 1' in lines
