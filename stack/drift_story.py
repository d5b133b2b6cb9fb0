"""The story of ``make demo-drift``: three weeks of a served model, and each of the four decisions with its reason.

Fifteen working days. A day is some seconds here: its applications go through the scoring service, loan officers decide,
the lending system delivers the newest decisions, and ``monitor_loan`` looks at just that window. Days are logical dates
of Airflow's runs; the windows, the ledger and ``governance live`` have the real times. Nothing here decides anything.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from governance.catalog import find_spec
from governance.ledger.log import Entry
from governance.monitoring.watch import DECIDED
from governance.settings import load_settings
from stack import applications
from stack.applications import Market
from stack.errors import StackError
from stack.story import MODEL, POLL_SECONDS, SECONDS, Story
from stack.supervisor import Stack
from stack.telling import Teller

if TYPE_CHECKING:
    import pandas as pd

MONITOR, ROLLBACK = f"monitor_{MODEL}", f"rollback_{MODEL}"
DECIDING = ("collect", "measure", "decide", "retrain", "roll_back")
"""What a day waits for; Evidently's report is made meanwhile."""

ROWS = 1000
"""Applications a day: a tenth of them Black, and groups must be large enough to be judged."""

AT_ONCE = 100
"""Applications in one request."""

SEED = 1990
DELIVERED = 5000
"""Newest decisions that the lending system delivers: as many as the contract takes."""

NORMAL, BROKEN = Market(), Market(filled=True)
PROGRAMME = Market(squeeze=0.25, programme=0.4)

Json = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """A day of the story.

    Attributes:
        market: What it is like.
        news: What is new, told before it begins; empty where nothing is.
        labels: Whether what officers decided is known by the evening.
    """

    market: Market
    news: str = ""
    labels: bool = True


def _squeezed(by: float, news: str = "") -> Day:
    return Day(Market(squeeze=by, gifts_denied=True), news)


WEEKS = (
    (
        Day(NORMAL, "Quiet days: applications are like those that the model was trained on."),
        Day(NORMAL),
        Day(NORMAL),
        Day(BROKEN, "An update upstream writes 0 where nobody looked up the census tract, and says so to nobody."),
        Day(NORMAL, "The update is taken back."),
    ),
    (
        _squeezed(
            0.05,
            "Houses become dearer and incomes fall, day by day. Officers begin to deny whoever borrows "
            "much and was given the down payment.",
        ),
        _squeezed(0.10),
        _squeezed(0.15),
        _squeezed(0.20),
        _squeezed(0.25),
    ),
    (
        Day(Market(squeeze=0.25), labels=False),
        Day(PROGRAMME, "A public programme gives two in five Black and Hispanic applicants their down payment.", False),
        Day(PROGRAMME, labels=False),
        Day(PROGRAMME, labels=False),
        Day(PROGRAMME, labels=False),
    ),
)


def tell(stack: Stack, *, sign: str = "demo", stays: bool = True) -> int:
    """Tell the story; 0 if each of the four decisions was taken and carried out, 1 if not.

    Args:
        stack: The running stack.
        sign: ``demo`` lets the demo's reviewers sign, ``me`` waits for a person in the browser.
        stays: Whether everything runs on afterwards, so that there is somewhere to look.
    """
    teller = Teller()
    told = DriftStory(stack, teller, sign)
    try:
        return 0 if told.run(stays) else 1
    finally:
        teller.rest()


class DriftStory:
    """Three weeks of the loan model."""

    def __init__(self, stack: Stack, teller: Teller, sign: str) -> None:
        self.stack, self.teller = stack, teller
        self.release = Story(stack, teller, sign)
        self.airflow, self.ledger = self.release.airflow, self.release.ledger
        self.settings = load_settings(stack.environment("client"))
        self.spec = find_spec(self.settings, MODEL)
        self.delivery = Delivery(self.settings.root / "data" / MODEL / "decided.parquet")
        self.serving = f"{stack.url('serving')}/models/{MODEL}"
        self.taken: list[tuple[date, Entry]] = []

    def run(self, stays: bool) -> bool:
        """Release the model where none serves, live through three weeks, and say where to look."""
        if next(iter(self.ledger.backwards(DECIDED, MODEL)), None):
            raise StackError(
                f"{MODEL} has been watched on this system before, and what was decided then counts: the story would "
                f"be another. `governance decision {MODEL} --history 30` has it; `make clean demo-drift` begins anew."
            )
        if next(iter(self.ledger.backwards("release", MODEL)), None) is None:
            self.teller.title("First, the model is released")
            if not self.release.run():
                return False
        for number, week in enumerate(WEEKS):
            self.teller.title(f"Week {number + 1}")
            for offset, day in enumerate(week):
                self.live(first_monday() + timedelta(weeks=number, days=offset), day, SEED + 10 * number + offset)
        self.where_to_look(stays)
        return self.is_complete()

    def live(self, on: date, day: Day, seed: int) -> None:
        """Live through a day, and let the monitor look at it."""
        if day.news:
            self.teller.say(f"\n{day.news}")
        since = datetime.now(UTC)
        frame = applications.draw(ROWS, day.market, seed)
        answers = self.ask(frame, f"{on:%Y%m%d}-{since:%H%M%S}")
        outcome = applications.decided(frame, [one["prediction"] for one in answers], day.market, seed)
        if day.labels:
            self.tell_labels(answers, outcome["approve"])
        if not day.market.filled:
            self.delivery.add(outcome)
        entry = self.look(on, since, self.arrived())
        self.taken.append((on, entry))
        self.teller.decision(on, ROWS, entry.data)
        self.carried_out(entry)

    # --- production ---

    def ask(self, frame: "pd.DataFrame", name: str) -> list[Json]:
        """Send a day's applications; return request id, row and prediction of each."""
        told: list[Json] = []
        for part, first in enumerate(range(0, len(frame), AT_ONCE)):
            rows = frame.iloc[first : first + AT_ONCE]
            request = f"{name}-{part}"
            body = {
                "dataframe_records": _records(rows, list(self.spec.features)),
                "params": {"protected": _records(rows, list(self.spec.protected_columns))},
            }
            answer = httpx.post(f"{self.serving}/invocations", json=body, headers={"X-Request-Id": request}, timeout=60)
            if answer.is_error:
                raise StackError(
                    f"The scoring service refused an application: {answer.status_code} {answer.text[:300]}"
                )
            predictions = answer.json()["predictions"]
            told += [{"request_id": request, "row": row, "prediction": one} for row, one in enumerate(predictions)]
        return told

    def tell_labels(self, answers: list[Json], outcomes: Any) -> None:
        """Post what officers decided."""
        labels = [
            {"request_id": one["request_id"], "row": one["row"], "label": int(outcome)}
            for one, outcome in zip(answers, outcomes, strict=True)
        ]
        body = {"model": MODEL, "labels": labels}
        address = f"{self.stack.url('serving')}/labels"
        answer = httpx.post(address, json=body, headers=self.stack.sender(), timeout=60)
        if answer.is_error:
            raise StackError(f"The scoring service refused labels: {answer.status_code} {answer.text[:300]}")

    def arrived(self) -> datetime:
        """Wait until every record is in the log, and return the moment: the window's end and its cut-off."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            lines = httpx.get(f"{self.stack.url('serving')}/metrics", timeout=10).text.splitlines()
            waiting = [line.split()[-1] for line in lines if line.startswith("governance_predictions_waiting_records")]
            if waiting and all(float(count) == 0 for count in waiting):
                return datetime.now(UTC)
            time.sleep(POLL_SECONDS / 4)
        raise StackError("Predictions wait on disk and do not arrive in the log: see the log of the scoring service.")

    # --- monitoring ---

    def look(self, on: date, since: datetime, until: datetime) -> Entry:
        """Let the monitor look at a window, and return what it decided."""
        conf = {"since": since.isoformat(), "until": until.isoformat(), "as_of": until.isoformat()}
        morning = datetime(on.year, on.month, on.day, 6, since.minute, since.second, since.microsecond, UTC)
        run = self.airflow.trigger(MONITOR, conf, morning + timedelta(days=1))
        self._await(MONITOR, run, DECIDING)
        found = next((e for e in self.ledger.backwards(DECIDED, MODEL) if e.data["run_id"] == run), None)
        if found is None:
            raise StackError(f"{MONITOR} decided nothing: see run {run} in Airflow.")
        return found

    def carried_out(self, entry: Entry) -> None:
        """Watch what a decision started, until it is done."""
        action = entry.data["decision"]["action"]
        run = f"{action}-{entry.leaf[:24]}"
        if action == "retrain":
            self.release.seq = entry.seq
            if not self.release.follow(run):
                raise StackError(f"The model that was trained again was not released: see run {run} in Airflow.")
        elif action == "roll_back":
            self._await(ROLLBACK, run, ("restore", "open_incident"))
            serves = httpx.get(self.serving, timeout=10).json()
            last = next(iter(self.ledger.backwards("rollback", MODEL)))
            took = (last.at - entry.at).total_seconds()
            self.teller.good(f"Rolled back: {serves['version']} serves again, {took:.0f} s after the decision.")

    def _await(self, dag: str, run: str, tasks: Sequence[str]) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            states = {name: task["state"] for name, task in self.airflow.tasks(dag, run).items() if name in tasks}
            if failed := [name for name, state in states.items() if state in ("failed", "upstream_failed")]:
                raise StackError(f"{dag} failed: see {failed[0]} of run {run} in Airflow, whose log says why.")
            if len(states) == len(tasks) and set(states.values()) <= {"success", "skipped"}:
                return
            time.sleep(POLL_SECONDS)
        raise StackError(f"{dag} took longer than {SECONDS} s: see run {run} in Airflow.")

    # --- the end ---

    def is_complete(self) -> bool:
        """Say whether each of the four decisions was taken."""
        return {"nothing", "data_fault", "retrain", "roll_back"} <= {
            entry.data["decision"]["action"] for _, entry in self.taken
        }

    def where_to_look(self, stays: bool) -> None:
        """Say what shows the story again."""
        self.teller.title("The same again, from the record")
        self.teller.pairs(dict(self._commands()))
        if not stays:
            self.teller.say("\nEverything is stopped again; what it made is kept. `make up` starts it.")
            return
        airflow = self.stack.url("airflow")
        self.teller.title("Where to look")
        self.teller.pairs(
            {
                "Monitoring": f"{airflow}/plugin/governance/monitoring/{MODEL}",
                "The runs": f"{airflow}/dags/{MONITOR}/runs",
                "Incident": f"{airflow}/plugin/governance/incidents/{MODEL}",
                "MLflow": f"{self.stack.url('mlflow')}/#/models/{MODEL}",
            }
        )

    def _commands(self) -> Iterator[tuple[str, str]]:
        yield f"governance decision {MODEL} --history 15", "every day's decision"
        for on, entry in self.taken:
            action = entry.data["decision"]["action"]
            if action in ("data_fault", "retrain", "roll_back"):
                moment = datetime.fromisoformat(entry.data["until"])
                yield f"governance live {MODEL} --at {moment:%Y-%m-%dT%H:%M:%SZ}", f"what served on {on:%a %-d %b}"
        yield f"governance live {MODEL}", "what serves now"


class Delivery:
    """The file in which the lending system delivers the newest decisions; model.yaml names it for retraining.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._days: list[pd.DataFrame] = []

    def add(self, decided: "pd.DataFrame") -> None:
        """Deliver another day: the newest decisions, as many as are delivered at most."""
        import pandas as pd

        self._days.append(decided)
        newest = pd.concat(self._days, ignore_index=True).tail(DELIVERED)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".half")
        newest.to_parquet(half, index=False)
        half.replace(self.path)


def first_monday() -> date:
    """Return the Monday on which the story begins: its three weeks are over by now."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday() + 21)


def _records(frame: "pd.DataFrame", names: list[str]) -> list[Json]:
    rows = frame[names].astype(object).to_dict("records")
    return [{str(name): None if value != value else value for name, value in row.items()} for row in rows]
