"""The story of ``make demo``: the loan model, from raw data to a served model, through gates that block.

Nothing here decides anything. It triggers the DAG as an engineer, watches Airflow and the ledger, lets two reviewers
sign through the API that the page uses (or waits for the person in the browser), and asks the scoring service.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from governance.catalog import people_of
from governance.errors import UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.settings import load_settings
from stack.client import AirflowClient
from stack.supervisor import Stack
from stack.telling import Teller

MODEL = "loan"
DAG = f"govern_{MODEL}"
ENGINEER = "ken"
REVIEWERS = ("maria", "tom")
REASON = "First release of the mortgage model"
SECONDS = 900
POLL_SECONDS = 1.0
"""Between two questions: asking costs Airflow's API server time that the run could use."""

Json = dict[str, Any]


def tell(stack: Stack, *, sign: str = "demo", stays: bool = True) -> int:
    """Tell the story; 0 if the model was released and answers, 1 if not.

    Args:
        stack: The running stack.
        sign: ``demo`` lets the demo's reviewers sign, ``me`` waits for a person in the browser.
        stays: Whether everything runs on afterwards, so that there is somewhere to look.
    """
    teller = Teller()
    story = Story(stack, teller, sign)
    teller.title("The loan model, from raw data to production")
    released = story.run()
    teller.rest()
    answers = released and story.predict()
    if stays:
        story.where_to_look()
    else:
        teller.say("\nEverything is stopped again; what it made is kept. `make up` starts it, and says where to look.")
    return 0 if answers else 1


class Story:
    """One run of the loan model, watched."""

    def __init__(self, stack: Stack, teller: Teller, sign: str) -> None:
        self.stack = stack
        self.teller = teller
        self.sign = sign
        self.airflow = AirflowClient(stack.url("airflow"), ENGINEER, stack.login(ENGINEER))
        self.ledger = Ledger(stack.ledger_url("auditor"))
        self.people = people_of(load_settings(stack.environment("client")))

    def run(self) -> bool:
        """Trigger, watch, sign; whether the model was released."""
        self.teller.say(f"Ken Ito, an engineer without any other role, triggers {DAG}.")
        self.seq = self._last_seq()
        return self.follow(self.airflow.trigger(DAG, {"reason": REASON}))

    def follow(self, run_id: str) -> bool:
        """Watch a run that has begun, and sign; whether the model was released."""
        self.run_id, self.triggered = run_id, time.monotonic()
        self.seen: dict[str, str] = {}
        self.asked = False
        deadline = self.triggered + (SECONDS if self.sign == "demo" else 7 * 86400)
        while time.monotonic() < deadline:
            self._tell_news()
            if not self._is_under_way() and self.airflow.run_state(DAG, self.run_id) in ("success", "failed"):
                self._tell_news()
                return self._is_released()
            time.sleep(POLL_SECONDS)
        self.teller.say(f"The run took longer than {SECONDS} s: see it in Airflow.")
        return False

    def predict(self) -> bool:
        """Send one application to the scoring service and show the answer; whether it was a prediction."""
        frame = _one_application()
        answer = httpx.post(f"{self.stack.url('serving')}/invocations", json=frame, timeout=30)
        self.teller.title("One prediction")
        self.teller.say(f"POST {self.stack.url('serving')}/invocations")
        self.teller.say(answer.text)
        return answer.is_success

    def where_to_look(self) -> None:
        """List addresses and logins."""
        airflow = self.stack.url("airflow")
        self.teller.title("Where to look")
        self.teller.pairs(
            {
                "Review page": f"{airflow}/plugin/governance",
                "The run": f"{airflow}/dags/{DAG}/runs/{self.run_id}",
                "MLflow": f"{self.stack.url('mlflow')}/#/models/{MODEL}",
                "Scoring": f"{self.stack.url('serving')}/docs",
                "Commands": ".venv/bin/governance permit loan · live loan · evidence loan · ledger verify",
            }
        )
        self.teller.say("")
        self.teller.say("Logins, of this machine only:")
        logins = {name: self.stack.login(name) for name in (ENGINEER, "dana", *REVIEWERS, "ines", "admin")}
        self.teller.pairs(logins)

    # --- watching ---

    def _tell_news(self) -> None:
        tasks = self.airflow.tasks(DAG, self.run_id)
        for name, task in tasks.items():
            state = task["state"] or ""
            if self.seen.get(name) != state:
                self.seen[name] = state
                self.teller.task(name, state, task.get("duration"))
        self.teller.running([name for name, state in self.seen.items() if state in ("running", "deferred")])
        try:
            for entry in self.ledger.find(subject=MODEL, after=self.seq):
                self.seq = entry.seq
                if entry.data.get("run_id", self.run_id) == self.run_id:
                    self._tell_entry(entry)
        except UnavailableError:
            return
        if not self.asked and any(
            name.startswith("approve") and state == "deferred" for name, state in self.seen.items()
        ):
            self.asked = True
            self._ask_for_signatures()

    def _is_under_way(self) -> bool:
        return any(state in ("", "scheduled", "queued", "running", "deferred") for state in self.seen.values())

    def _tell_entry(self, entry: Entry) -> None:
        telling: dict[str, Callable[[Entry], None]] = {
            "evidence": self._tell_evidence,
            "alternatives": self._tell_alternatives,
            "decision": self._tell_decision,
            "message": lambda e: self.teller.say(f"  told: {e.data['text']}"),
            "permit": lambda e: self.teller.say(f"The permit is complete (ledger entry {e.seq})."),
            "release": lambda e: self.teller.good(f"Released: {MODEL} {e.data['version']} is champion, and serves."),
            "revert": lambda e: self.teller.bad(f"Moved back: {e.data['reason']}"),
        }
        if entry.kind in telling:
            telling[entry.kind](entry)

    def _tell_evidence(self, entry: Entry) -> None:
        document = entry.data["evidence"]
        self.teller.verdict(document, entry.data["digest"])

    def _tell_alternatives(self, entry: Entry) -> None:
        self.teller.alternatives(entry.data["tried"])

    def _tell_decision(self, entry: Entry) -> None:
        decision = entry.data["decision"]
        person, role = self.people.name(decision["person"]), self.people.role_title(decision["role"])
        self.teller.signature(person, role, decision)

    # --- signing ---

    def _ask_for_signatures(self) -> None:
        evidence = [e for e in self.ledger.find(kind="evidence", subject=MODEL) if e.data["run_id"] == self.run_id][-1]
        version = evidence.data["evidence"]["model"]["version"]
        page = f"{self.stack.url('airflow')}/plugin/governance/review/{MODEL}/{version}"
        took = time.monotonic() - self.triggered
        self.teller.say(f"\nWaits for signatures, {took:.0f} s after the trigger, holding no worker slot: {page}")
        if self.sign == "me":
            self.teller.say("Sign in the browser, as two people in different roles:")
            self.teller.pairs({name: self.stack.login(name) for name in REVIEWERS})
            self.teller.say("These two are refused, and read why: a developer of the model, and who started the run:")
            self.teller.pairs({name: self.stack.login(name) for name in ("dana", ENGINEER)})
            return
        for login in REVIEWERS:
            self._sign(login, version)

    def _sign(self, login: str, version: str) -> None:
        reviewer = AirflowClient(self.stack.url("airflow"), login, self.stack.login(login))
        request = reviewer.request(MODEL, version)
        body = {
            "evidence": request["evidence"],
            "confirmed": request["checklist"],
            "comment": "Read the evidence, the warnings and the price of the alternative.",
        }
        answer = reviewer.decide(MODEL, version, "approve", body)
        if answer.is_error:
            self.teller.bad(f"{login} may not sign: {answer.json().get('message', answer.text)}")

    # --- asking ---

    def _is_released(self) -> bool:
        mine: list[Mapping[str, Any]] = [e.data for e in self.ledger.find(kind="release", subject=MODEL)]
        return any(data.get("run_id") == self.run_id for data in mine)

    def _last_seq(self) -> int:
        last = self.ledger.find(newest_first=True, limit=1)
        return last[0].seq if last else 0


def _one_application() -> Json:
    """Return the first application of the data, as a client would send it."""
    from governance.catalog import find_spec
    from governance.data.sources import read_source
    from governance.settings import load_settings

    spec = find_spec(load_settings(), MODEL)
    row = read_source(spec.data.source, spec.folder)[list(spec.features)].iloc[:1]
    return {"dataframe_records": [{name: value for name, value in row.iloc[0].items() if value == value}]}
