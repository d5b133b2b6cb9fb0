"""The rollback drill: the way back, walked on a shadow while the champion serves on, and timed.

A second scoring service, in a process of its own, follows the alias ``drill``. It serves what production serves; then
the way back is gone as :mod:`governance.release.rollback` goes it, with the same functions: is the ledger whole, which
versions may come back, do their bytes and permits hold, move the alias, wait until the service serves it, test it live.

What it cannot do is change what serves. It knows MLflow by a registry of the alias ``drill`` alone, talks to its own
service only, and writes one entry, ``drill``, which nothing is decided by.

Not measured: how long Airflow takes to start the tasks of a real rollback, and how long the start of the shadow takes,
for the scoring service of production runs already.
"""

import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governance.errors import GovernanceError, InputError, RefusedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.release.attempt import SERVE_SECONDS, short
from governance.release.registry import DRILL, Registry
from governance.release.rollback import Target, targets, verified_target
from governance.release.scoring import PAUSE_SECONDS, ScoringService
from governance.release.smoke import smoke_test
from governance.release.verify import Verified, expect_whole
from governance.review import entries
from governance.settings import Settings, shadow_environment

GOAL_SECONDS = 15.0
"""From the decision until the earlier version serves: DESIGN §8."""

START_SECONDS = 120.0
"""How long the shadow may take to start; its imports take seconds."""

STEPS = ("ledger", "choose", "verify", "move", "serve", "test")
"""What is timed from the decision on, in this order; the start of the shadow is timed beside it."""

SHADOW = "governance.serving.shadow"

Json = dict[str, Any]


@dataclass(frozen=True)
class DrillOutcome:
    """What a drill showed.

    Attributes:
        model: The model's name.
        outcome: ``served``, or ``no_target`` where no version can come back.
        leaves: What serves, and was to be left: ``version``, ``registry_version``, ``evidence``.
        version: What came back, on the shadow; ``None`` where nothing could.
        registry_version: Its version in MLflow's registry.
        evidence: Digest of what was signed of it.
        tried: The versions that could not come back: ``version``, ``evidence`` and ``reason`` of each.
        seconds: Step → how long it took, over all versions that were tried; ``start`` beside :data:`STEPS`.
        total: Seconds from the decision until it served and was tested; ``None`` where nothing could come back.
        champion: Why the shadow could not serve what serves in production; ``None`` where it could.
        at: When it was recorded.
        entry: Key of the ledger's entry.
        reason: What happened, in sentences.
    """

    model: str
    outcome: str
    leaves: Json
    version: str | None
    registry_version: int | None
    evidence: str | None
    tried: Sequence[Json]
    seconds: Mapping[str, float]
    total: float | None
    champion: str | None
    at: datetime
    entry: str
    reason: str

    @property
    def in_time(self) -> bool:
        """Whether a version came back within :data:`GOAL_SECONDS`."""
        return self.total is not None and self.total <= GOAL_SECONDS

    def to_dict(self) -> Json:
        """Return the JSON form."""
        own = {**self.__dict__, "tried": list(self.tried), "seconds": dict(self.seconds), "at": self.at.isoformat()}
        return {**own, "in_time": self.in_time, "goal": GOAL_SECONDS}


def drill(
    settings: Settings, ledger: Ledger, *, model: str, actor: str, key: str, serve_seconds: float = SERVE_SECONDS
) -> DrillOutcome:
    """Walk the way back on a shadow, time it, and record what it showed.

    Args:
        settings: Where things are.
        ledger: The record, with the pipeline's rights.
        model: The model's name.
        actor: Pseudonymous id of who asks, or the name of a service.
        key: What makes it the same drill; repeated under it, what was recorded is returned.
        serve_seconds: How long the shadow may take to serve a version.

    Raises:
        InputError: Nothing serves, so there is nothing to leave.
        TamperedError: The ledger is not whole: a rollback would be refused, too.
        UnavailableError: MLflow, the ledger, the snapshot or the shadow does not answer. Nothing was recorded.
    """
    known = ledger.get(f"drill:{key}")
    if known is not None:
        return outcome_of(known)
    leaves = short(entries.champion_entry(ledger, model))
    if leaves is None:
        raise InputError(f"Expected a version of {model} that serves, found none: there is nothing to roll back from.")
    registry, clock = Registry(settings.require("mlflow_url"), DRILL), _Clock()
    with _alias_cleared(registry, model), _shadow(settings, clock) as service:
        way = _Way(settings, ledger, registry, service, model, clock, serve_seconds)
        champion = way.begin(leaves)
        target, tried = way.back()
    data = {**_data(leaves, target, tried), "seconds": clock.seconds, "champion": champion}
    return outcome_of(ledger.append("drill", model, data, actor=actor, key=f"drill:{key}"))


def last(ledger: Ledger, model: str) -> DrillOutcome | None:
    """Return the last drill of a model, or ``None`` where there was none."""
    found = ledger.find("drill", model, newest_first=True, limit=1)
    return outcome_of(found[0]) if found else None


def outcome_of(entry: Entry) -> DrillOutcome:
    """Return what an entry of a drill says."""
    data = entry.data
    names = ("outcome", "leaves", "version", "registry_version", "evidence", "tried", "seconds", "champion")
    served, seconds = data["outcome"] == "served", data["seconds"]
    total = round(sum(seconds[step] for step in STEPS), 3) if served else None
    return DrillOutcome(
        model=entry.subject,
        total=total,
        at=entry.at,
        entry=entry.key,
        reason=_sentence(entry.subject, data, total),
        **{name: data[name] for name in names},
    )


@dataclass(frozen=True)
class _Clock:
    """What each step took, in seconds; a step that is gone twice is added up."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("start", *STEPS), 0.0))

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds[step] + time.monotonic() - began, 3)


@dataclass(frozen=True)
class _Way:
    """The way back, on the shadow."""

    settings: Settings
    ledger: Ledger
    registry: Registry
    service: ScoringService
    model: str
    clock: _Clock
    serve_seconds: float

    def begin(self, leaves: Json) -> str | None:
        """Have the shadow serve what production serves; return why it does not."""
        with self.clock.of("start"):
            try:
                self._serve(leaves["registry_version"], leaves["evidence"])
            except RefusedError as error:
                return str(error)
        return None

    def back(self) -> tuple[Target | None, list[Json]]:
        """Go back to the first version that can come back; return it, and those that could not."""
        tried: list[Json] = []
        with self.clock.of("ledger"):
            expect_whole(self.ledger)
        now = datetime.now(UTC)
        with self.clock.of("choose"):
            found = targets(self.settings, self.ledger, self.model, now)
        for target in found:
            try:
                self._back_to(target, now)
                return target, tried
            except UnavailableError:
                raise
            except Exception as error:  # whatever it was: a rollback would go on with the next one, too
                reason = str(error) or type(error).__name__
                tried.append({"version": target.version, "evidence": target.evidence, "reason": reason})
        return None, tried

    def _back_to(self, target: Target, now: datetime) -> None:
        with self.clock.of("verify"):
            verified: Verified = verified_target(self.settings, self.ledger, self.registry, target, now)
        with self.clock.of("move"):
            self.registry.set_champion(self.model, target.registry_version)
        with self.clock.of("serve"):
            self._wait_for(target.registry_version, target.evidence)
        with self.clock.of("test"):
            smoke_test(self.service, verified)

    def _serve(self, registry_version: int, evidence: str) -> None:
        self.registry.set_champion(self.model, registry_version)
        self._wait_for(registry_version, evidence)

    def _wait_for(self, registry_version: int, evidence: str) -> None:
        look = self.service.refresh(self.model)
        self.service.wait_for(self.model, registry_version, evidence, look, self.serve_seconds)


@contextmanager
def _alias_cleared(registry: Registry, model: str) -> Iterator[None]:
    """Leave no alias behind; where MLflow is away, the next drill overwrites it, and nothing follows it meanwhile."""
    try:
        yield
    finally:
        with suppress(GovernanceError):
            registry.clear_champion(model)


@contextmanager
def _shadow(settings: Settings, clock: _Clock) -> Iterator[ScoringService]:
    """Start the second scoring service, and end it."""
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        log = Path(name) / "shadow.log"
        process = _begun(settings, Path(name), log)
        try:
            with clock.of("start"):
                service = _answering(process, log)
            yield service
        finally:
            process.kill()  # it holds nothing that could be lost
            process.communicate()


def _begun(settings: Settings, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", SHADOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=shadow_environment(settings, folder),
            start_new_session=True,
        )


def _answering(process: "subprocess.Popen[bytes]", log: Path) -> ScoringService:
    deadline = time.monotonic() + START_SECONDS
    port = _port(process, deadline)
    service = ScoringService(f"http://127.0.0.1:{port}") if port else None
    while service is not None and process.poll() is None and time.monotonic() < deadline:
        try:
            service.health()
            return service
        except UnavailableError:
            time.sleep(PAUSE_SECONDS)  # between two questions, until the deadline
    said = log.read_text(errors="replace").strip()[-500:]
    raise UnavailableError(
        f"Expected a second scoring service to start, found it did not. It said: {said or 'nothing'}"
    )


def _port(process: "subprocess.Popen[bytes]", deadline: float) -> int | None:
    """Return the port that it prints; nothing where it ends, or is not there in time."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
    line = process.stdout.readline().strip() if ready else b""
    return int(line) if line.isdigit() else None


def _data(leaves: Json, target: Target | None, tried: Sequence[Json]) -> Json:
    found = {
        "version": target.version if target else None,
        "registry_version": target.registry_version if target else None,
        "evidence": target.evidence if target else None,
    }
    return {"outcome": "served" if target else "no_target", "leaves": leaves, **found, "tried": list(tried)}


def _sentence(model: str, data: Mapping[str, Any], total: float | None) -> str:
    failed = "".join(f" {one['version']} cannot come back: {one['reason']}" for one in data["tried"])
    before = (
        f" The shadow could not load {data['leaves']['version']} anew: {data['champion']}" if data["champion"] else ""
    )
    if total is None:
        said = f"There is no version of {model} to roll back to from {data['leaves']['version']}."
    else:
        late = f" That is longer than {GOAL_SECONDS:g} s." if total > GOAL_SECONDS else ""
        said = (
            f"{model} {data['version']} would serve instead of {data['leaves']['version']} within {total:.1f} s.{late}"
        )
    return f"{said}{failed}{before}"
