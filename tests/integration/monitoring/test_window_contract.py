"""By which contract a window is held, and where people see the rows that break it."""

import json
from pathlib import Path

import pytest

from governance.canonical import digest_of_bytes
from governance.errors import NotPermittedError, TamperedError, UnavailableError
from governance.monitoring.collect import collect
from governance.monitoring.decide import decide_window
from governance.monitoring.watch import DECIDED, WINDOW
from governance.release.bundle import CONTRACT
from tests.integration.monitoring.conftest import usual
from tests.integration.serving.services_under_test import free_port, mlflow_client
from tests.unit.release.permitted_world import FEATURES, MODEL


def rewritten(watched, **limits):
    """Change what the checkout's contract allows of the age; return what it was."""
    path = watched.house.world.spec.contract
    before = path.read_bytes()
    suite = json.loads(before)
    for one in suite["expectations"]:
        if one["kwargs"].get("column") == "age" and one["type"] == "expect_column_values_to_be_between":
            one["kwargs"].update(limits)
    path.write_text(json.dumps(suite))
    assert path.read_bytes() != before
    return before


def published(watched, evidence, body):
    """Put a contract beside the version's files, as its release does."""
    version = evidence.data["evidence"]["model"]["registry_version"]
    watched.house.registry.upload_bundle(MODEL, version, {CONTRACT: body})


class TestWhichContract:
    def test_it_is_the_one_that_was_signed_and_the_decision_says_that_the_checkout_has_another(self, watched, champion):
        published(watched, champion, rewritten(watched, max_value=30))  # by which most rows would be a fault

        found = watched.decided(watched.watch_of(usual(), champion))

        assert found["action"] == "nothing"
        assert "The contract is the one that was signed with 1.0.0" in found["because"][-1]
        assert "the checkout has another one since" in found["because"][-1]

    def test_where_the_checkout_has_the_signed_one_mlflow_is_not_asked_and_nothing_is_said(self, watched, champion):
        frame = usual()
        watched.ask(frame, champion)
        watch = watched.watch(GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")

        collect(watch)

        said = watch.need(WINDOW).data["contract"]
        assert said["signed"] == said["in_force"] == digest_of_bytes(watched.house.world.spec.contract.read_bytes())

    def test_one_that_nobody_signed_decides_nothing(self, watched, champion):
        rewritten(watched, max_value=30)
        published(watched, champion, b'{"expectations": []}')

        with pytest.raises(TamperedError, match=r"contract\.json of tiny 1\.0\.0 in MLflow"):
            collect(watched.watch_of(usual(), champion))
        assert watched.kinds() == []

    def test_one_that_is_gone_or_out_of_reach_decides_nothing(self, watched, champion):
        rewritten(watched, max_value=30)
        watch = watched.watch_of(usual(), champion)

        with pytest.raises(NotPermittedError, match=r"Expected permit/contract\.json"):
            collect(watch)
        away = watched.again(
            (watch.since, watch.until, watch.as_of), GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}"
        )
        with pytest.raises(UnavailableError):
            collect(away)
        assert watched.kinds() == []


class TestTheFailingRows:
    @pytest.fixture
    def broken(self, watched, champion):
        frame = usual()
        frame.loc[5, "age"] = 17
        watch = watched.watch_of(frame, champion)
        watched.decided(watch)
        return watch

    def page(self, watched, watch, tmp_path):
        address = watch.need(WINDOW).data["page"]
        run, _, path = address.rpartition("/runs/")[2].partition("/artifacts/")
        file = mlflow_client(watched.house.registry.url).download_artifacts(run, path, str(tmp_path))
        return Path(file).read_text(encoding="utf-8")

    def test_stand_in_a_page_without_protected_values(self, watched, broken, tmp_path):
        text = self.page(watched, broken, tmp_path)

        assert "Failing rows" in text
        assert all(f">{name}</th>" in text for name in FEATURES)
        assert ">group</th>" not in text
        assert text.count("failed") > 0

    def test_are_told_with_the_decision(self, broken):
        step = decide_window(broken)

        assert broken.need(DECIDED).data["decision"]["action"] == "data_fault"
        assert step.messages[0].text.endswith(f"The failing rows, masked: {broken.need(WINDOW).data['page']}")

    def test_of_a_sound_window_there_is_no_page(self, watched, champion):
        watch = watched.watch_of(usual(), champion)
        watched.decided(watch)

        assert watch.need(WINDOW).data["page"] is None
