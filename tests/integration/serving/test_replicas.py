"""The scoring service may run several times: what is said of it is said of each replica that answers."""

import httpx
import pytest

from governance.errors import UnavailableError
from governance.release.scoring import Replicas
from governance.serving.app import create_app
from tests.integration.serving.services_under_test import InThread, free_port
from tests.integration.serving.test_rollback import released
from tests.integration.serving.test_stop import stop
from tests.unit.release.permitted_world import MODEL

pytestmark = pytest.mark.slow


@pytest.fixture
def two(house, serve) -> tuple[InThread, InThread]:
    """Two replicas, each with a folder of its own for predictions that wait."""
    first, second = (serve(GOVERNANCE_STATE=str(house.folder / name)) for name in ("first", "second"))
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"{first.url},{second.url}")
    return first, second


def served_by(replica: InThread) -> str | None:
    return httpx.get(f"{replica.url}/models/{MODEL}").json().get("evidence")


def test_a_release_waits_for_every_replica(house, two):
    evidence = released(house, 0)
    assert [served_by(replica) for replica in two] == [evidence.data["digest"]] * 2


def test_a_replica_that_is_down_bars_no_release(house, scoring):
    urls = f"http://127.0.0.1:{free_port()},{scoring.url}"
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=urls)

    assert released(house, 0).data["digest"] == served_by(scoring)


def test_a_replica_that_does_not_serve_it_takes_the_release_back(house, two, serve):
    other = serve(create_app(house.serving_settings(GOVERNANCE_ENVIRONMENT="elsewhere")))
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=",".join(one.url for one in (*two, other)))
    house.sign(house.candidate("run-0"))

    outcome = house.release("run-0")

    assert outcome.reverted
    assert other.url in outcome.reason
    assert house.registry.champion(MODEL) is None


def test_a_stop_is_confirmed_only_by_all_of_them(house, two):
    released(house, 0)
    urls = house.world.settings.serving_url
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"{urls},http://127.0.0.1:{free_port()}")

    outcome = stop(house)

    assert not outcome.confirmed
    assert len(outcome.problems) == 1
    assert [served_by(replica) for replica in two] == [None, None]


def test_where_none_answers_it_says_so():
    with pytest.raises(UnavailableError, match="to answer POST"):
        Replicas(f"http://127.0.0.1:{free_port()},http://127.0.0.1:{free_port()}").refresh(MODEL)
