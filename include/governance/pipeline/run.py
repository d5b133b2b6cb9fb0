"""One run of the pipeline for one model: what was asked, by whom, and what it has recorded so far."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from governance import canonical
from governance.catalog import ModelSpec, People, find_spec, people_of
from governance.code import CodeState, code_state
from governance.errors import InputError, RefusedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.pipeline.unasked import MONITORING, ON_SCHEDULE, SCHEDULE
from governance.policy import Policy, load_policy
from governance.records import Lineage
from governance.review import entries
from governance.settings import Settings
from governance.training.fetch import require_form

Json = dict[str, Any]

BUMPS = ("major", "minor", "patch")
REQUEST_KEYS = ("reason", "parameters", "source", "bump", "model_uri", "decision")


@dataclass(frozen=True)
class Message:
    """Something to tell people, once.

    Attributes:
        key: What makes it the same message; a second one with this key is not sent.
        kind: ``blocked``, ``waiting``, ``in_advance``, ``released``, ``reverted``, ``failed``, ``denied``, ``expired``,
            ``rolled_back``, ``kept``, ``stopped``, ``call``, ``break_glass``, ``incident_closed``, ``drill``.
        text: The message, in a sentence or two.
        path: Where to look, below Airflow's address.
        incident: Id of the incident that it says to be open, or closed: people are called out for it.
    """

    key: str
    kind: str
    text: str
    path: str
    incident: str | None = None


@dataclass(frozen=True)
class Step:
    """What a step leaves behind.

    Attributes:
        summary: A few words and numbers for people; nothing is decided by it.
        lineage: What it read and wrote.
        messages: Whom to tell what.
        skipped: Why there was nothing to do.
        failed: Why the run ends here, recorded and told already.
    """

    summary: Json
    lineage: Lineage = field(default_factory=Lineage)
    messages: Sequence[Message] = ()
    skipped: str | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Request:
    """What was asked for when the run was triggered; all of it ends in the evidence."""

    reason: str
    parameters: Json
    source: str | None
    bump: str
    started_by: str
    model_uri: str | None = None
    decision: str | None = None

    def to_dict(self) -> Json:
        """Return the JSON form; of a run that no monitor asked for, it is as it was before there were any."""
        return {name: value for name, value in self.__dict__.items() if name != "decision" or value is not None}


@dataclass(frozen=True)
class Run:
    """One run: settings, ledger, the model's files in force, and the request.

    Attributes:
        settings: Where things are.
        ledger: The record.
        spec: The model.
        policy: What is demanded of it.
        people: Who is who.
        run_id: Airflow's id of the run, or another unique name.
        request: What was asked.
    """

    settings: Settings
    ledger: Ledger
    spec: ModelSpec
    policy: Policy
    people: People
    run_id: str
    request: Request

    @property
    def model(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def parameters(self) -> Json:
        """The training parameters: the spec's, with what the request changes."""
        return {**self.spec.training.parameters, **{k: v for k, v in self.request.parameters.items() if k != "seed"}}

    @property
    def seed(self) -> int:
        """The seed: the request's, else the spec's."""
        seed: int = self.request.parameters.get("seed", self.spec.training.seed)
        return seed

    @property
    def source(self) -> str:
        """Where the data come from: the request's source, else the spec's, which may name another for retraining."""
        unasked = self.request.decision is not None or self.request.started_by == SCHEDULE
        return self.request.source or (unasked and self.spec.retraining.source) or self.spec.data.source

    @cached_property
    def keys(self) -> PublicKeys:
        """The public keys that signatures are checked with."""
        return PublicKeys.from_folder(self.settings.public_keys)

    @cached_property
    def code(self) -> CodeState:
        """The code in force, with its authors since the champion's."""
        return code_state(self.settings, self.spec, since=self._champion_commit())

    @property
    def version(self) -> str:
        """The semantic version of this run's candidates: every run bumps the one before it, so no two are the same."""
        version = None
        for entry in self.ledger.find(kind="run", subject=self.model):
            version = bumped(version, entry.data["request"]["bump"])
            if entry.data["run_id"] == self.run_id:
                return version
        raise InputError(f"Expected the run {self.run_id} in the ledger, found none.")

    def key(self, kind: str, **inputs: Any) -> str:
        """Return the idempotency key of a step's record: its kind, the run, and the digest of its inputs."""
        return f"{kind}:{self.model}:{self.run_id}:{canonical.digest(inputs)[:24]}"

    def record(self, kind: str, data: Json, key: str) -> Entry:
        """Append an entry, or return the one that this key already has."""
        whole = {"run_id": self.run_id, **data}
        return self.ledger.append(kind, self.model, whole, actor=self.request.started_by, key=key)

    def last(self, kind: str, **where: Any) -> Entry | None:
        """Return the newest entry of this run of a kind whose data agree with ``where``."""
        for entry in self.ledger.backwards(kind, self.model):
            if entry.data.get("run_id") == self.run_id and all(entry.data.get(k) == v for k, v in where.items()):
                return entry
        return None

    def need(self, kind: str, **where: Any) -> Entry:
        """Return the newest entry of a kind.

        Raises:
            InputError: The step that records it has not run.
        """
        entry = self.last(kind, **where)
        if entry is None:
            raise InputError(f"No {kind} of run {self.run_id} in the ledger, found none: clear the task before.")
        return entry

    def _champion_commit(self) -> str | None:
        champion = entries.last_served(self.ledger, self.model)
        if champion is None:
            return None
        evidence = entries.evidence_entry(self.ledger, self.model, champion.data["evidence"])
        commit: str | None = evidence.data["evidence"]["code"]["commit"]
        return commit


def open_run(
    settings: Settings,
    ledger: Ledger,
    model: str,
    run_id: str,
    asked: Mapping[str, Any],
    started_by: str | None,
    *,
    scheduled: bool = False,
) -> Run:
    """Start a run, or find it again.

    Args:
        settings: Where things are.
        ledger: The record.
        model: The model's name.
        run_id: A name of the run that is unique for the model.
        asked: ``reason`` (required), ``parameters``, ``source``, ``bump``, ``model_uri`` (of a model that was trained
            elsewhere), ``decision`` (of a monitor, by its key); anything else is refused.
        started_by: The login of the person who triggered it; ``None`` where a monitor did, and then the decision says
            so, or the schedule.
        scheduled: Whether Airflow started it on the schedule that model.yaml names.

    Raises:
        InputError: The request is not right, or the starter is not in ``people.yaml``.
    """
    spec, people = find_spec(settings, model), people_of(settings)
    policy = load_policy(settings.models / model, settings.policies)
    known = ledger.get(f"run:{model}:{run_id}")
    request = Request(**known.data["request"]) if known else _request(asked, people, started_by, scheduled)
    if known is None and request.decision is not None:
        _require_asked_for(ledger, model, run_id, request.decision)
    if known is None:
        data = {"run_id": run_id, "request": request.to_dict()}
        ledger.append("run", model, data, actor=request.started_by, key=f"run:{model}:{run_id}")
    return Run(settings, ledger, spec, policy, people, run_id, request)


def bumped(version: str | None, bump: str) -> str:
    """Return the next semantic version; the first is 1.0.0."""
    if version is None:
        return "1.0.0"
    major, minor, patch = (int(part) for part in version.split("."))
    return {
        "major": f"{major + 1}.0.0",
        "minor": f"{major}.{minor + 1}.0",
        "patch": f"{major}.{minor}.{patch + 1}",
    }[bump]


def _request(asked: Mapping[str, Any], people: People, started_by: str | None, scheduled: bool) -> Request:
    unknown = sorted(set(asked) - set(REQUEST_KEYS))
    if unknown:
        raise InputError(f"Unknown key {unknown[0]!r} in the run's configuration. Known: {', '.join(REQUEST_KEYS)}.")
    reason = str(asked.get("reason") or "").strip()
    if len(reason) < 5 or (started_by and reason == ON_SCHEDULE):
        raise InputError("Expected a reason of at least five characters: a reviewer reads it. Trigger again with one.")
    bump, parameters = asked.get("bump") or "minor", asked.get("parameters") or {}
    if bump not in BUMPS:
        raise InputError(f"Expected bump to be one of {', '.join(BUMPS)}, found {bump!r}.")
    if not isinstance(parameters, dict) or not all(re.fullmatch(r"[a-z_][a-z0-9_]*", str(name)) for name in parameters):
        raise InputError(f"Expected parameters as an object of names and values, found {parameters!r}.")
    seed = parameters.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise InputError(f"Expected the parameter seed to be a whole number from 0 to 2^32 - 1, found {seed!r}.")
    decision = asked.get("decision") or None
    if not (started_by or decision or scheduled):
        raise InputError("Expected a person who started this run, found none: trigger it by hand, logged in.")
    model_uri = asked.get("model_uri") or None
    if model_uri is not None and set(parameters) - {"seed", "threshold"}:
        raise InputError(
            f"Expected no training parameter with model_uri but threshold and seed, found {', '.join(parameters)}: "
            f"a model that was trained elsewhere is not trained again. Leave them out."
        )
    if model_uri is not None:
        require_form(str(model_uri))
    source = asked.get("source") or None
    starter = people.identity(started_by) if started_by else MONITORING if decision else SCHEDULE
    return Request(reason, dict(parameters), source, bump, starter, model_uri, str(decision) if decision else None)


def _require_asked_for(ledger: Ledger, model: str, run_id: str, key: str) -> None:
    """Refuse a run that says a monitor asked for it, where none did, or asked for another."""
    entry = ledger.get(key)
    asked = entry is not None and (entry.kind, entry.subject) == ("monitoring", model)
    retrain = (
        asked and entry is not None and entry.data["decision"]["action"] == "retrain" and not entry.data["dry_run"]
    )
    if not retrain or entry is None or run_id != f"retrain-{entry.leaf[:24]}":
        raise RefusedError(
            f"Expected a decision to train {model} again under the key {key!r}, and its own run, found none. Such a "
            f"run is started by monitor_{model} alone; trigger one by hand without `decision`."
        )
