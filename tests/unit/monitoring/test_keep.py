"""How long predictions stay: what each model's policy says, and nothing goes while one cannot be read."""

import pytest

from governance.errors import RefusedError
from governance.monitoring.keep import kept, let_go
from governance.predictions.retention import Retention
from governance.yamlfile import FaultyFileError
from tests.unit.release.permitted_world import MODEL, World


@pytest.fixture
def world(tmp_path):
    return World.make(tmp_path / "checkout")


def rewritten(world, text):
    path = world.settings.models / MODEL / "policy.yaml"
    path.write_text(path.read_text() + text)


def test_each_model_keeps_what_its_policy_says(world):
    rewritten(world, "predictions: {days: 1000, regulations: [reg_b]}\n")

    assert kept(world.settings)[MODEL] == Retention(1000, ("reg_b",))


def test_without_a_word_it_is_the_tier(world):
    from governance.policy import load_policy

    tier = load_policy(world.settings.models / MODEL, world.settings.policies).documents[1].content.predictions

    assert kept(world.settings)[MODEL] == Retention(tier.days)


def test_nothing_goes_while_a_policy_cannot_be_read(world):
    rewritten(world, "predictions: [\n")

    with pytest.raises(FaultyFileError):
        let_go(world.settings)


def test_nor_where_one_keeps_less_than_a_regulation_asks_for(world):
    tier = world.settings.policies / f"{world.spec.tier}.yaml"
    tier.write_text(tier.read_text() + "predictions: {days: 10}\n")

    with pytest.raises(RefusedError, match="at least six months"):
        let_go(world.settings)
