"""The models that this process serves: followed in MLflow, verified, loaded, swapped.

A thread looks every two seconds, and at once when it is nudged, which version of each model is champion. A new one is
fetched, verified and loaded beside the old one, which serves until then, and goes on serving where the new one is
refused. An alias is a wish; only a permit that is verified from the bytes makes it come true.

A model that was stopped serves nothing, whatever the alias says, but the one version that a release or rollback is
bringing back (:mod:`governance.serving.stops`).

A permit that ends while its model serves is noticed with every request: the signed policy says whether the model stops
or goes on with an alert. Loading anew is refused in either case.
"""

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from governance.errors import GovernanceError, NotPermittedError, UnavailableError
from governance.keys import PublicKeys
from governance.predictions.labels import Expected
from governance.predictions.record import Version
from governance.release.loading import Permitted, Wanted, load_permitted
from governance.release.registry import CHAMPION, Followed, Registry
from governance.serving.record import Record
from governance.serving.scorer import Scorer
from governance.serving.stops import Stops
from governance.settings import Settings

POLL_SECONDS = 2.0
RETRY = timedelta(seconds=30)
"""After what time a refused version is looked at again without a nudge: its permit may have come."""

log = logging.getLogger("governance.serving")

Json = dict[str, Any]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Serving:
    """A version that serves."""

    permitted: Permitted
    scorer: Scorer
    since: datetime

    @property
    def name(self) -> str:
        """The model's name."""
        return self.permitted.permit.model

    @property
    def version(self) -> str:
        """Semantic version."""
        return self.permitted.permit.version

    @property
    def registry_version(self) -> int:
        """Version in MLflow's registry."""
        return self.permitted.permit.registry_version

    @property
    def evidence(self) -> str:
        """Digest of what was signed."""
        return self.permitted.permit.evidence_digest

    @cached_property
    def logged_as(self) -> Version:
        """What the prediction log says of this version."""
        spec, types = self.permitted.spec, self.permitted.inputs.types
        personal = frozenset(spec.data.personal)
        return Version(self.name, self.version, self.registry_version, self.evidence, tuple(types.items()), personal)

    @cached_property
    def expected(self) -> Expected:
        """What labels and protected values may be, by the signed spec."""
        return Expected.of(self.permitted.spec)

    def ended(self, now: datetime) -> str | None:
        """Say that the permit ended, or ``None`` while it lasts."""
        expires = self.permitted.permit.expires_at
        return (
            f"The permit of version {self.version} ended on {expires:%d %b %Y %H:%M} UTC." if now >= expires else None
        )

    def stopped(self, now: datetime) -> str | None:
        """Say why this version must not answer now, or ``None``."""
        ended = self.ended(now)
        if ended is None or self.permitted.permit.policy.permit.when_expired != "stop":
            return None
        return f"{ended} The policy says to stop: have a new version signed."


@dataclass(frozen=True)
class Refused:
    """A champion that is not served; ``passing`` where that says nothing about the version itself."""

    registry_version: int
    reason: str
    retry_at: datetime
    passing: bool = False


@dataclass(frozen=True)
class State:
    """Where one model stands: what serves, and what was refused. Replaced as a whole, so readers need no lock."""

    model: str
    champion: int | None = None
    serving: Serving | None = None
    refused: Refused | None = None
    stopped: str | None = None

    def why_not(self, now: datetime) -> str | None:
        """Say why the champion does not serve, or ``None`` where it does."""
        if self.stopped:
            return self.stopped
        if self.refused:
            return self.refused.reason
        if self.serving is None:
            return f"No version of {self.model} is champion: nothing was released."
        return self.serving.stopped(now)

    def to_dict(self, now: datetime) -> Json:
        """Return the JSON form: ``state`` is ``serving``, ``stopped``, ``refused`` or ``none``."""
        ended = self.serving.stopped(now) if self.serving else None
        serves = self.serving is not None and ended is None
        others = "stopped" if self.stopped else "refused" if self.refused or ended else "none"
        state = "serving" if serves else others
        document: Json = {"model": self.model, "state": state, "champion": self.champion, "reason": self.why_not(now)}
        if self.serving:
            document |= _described(self.serving)
            document["warning"] = self.serving.ended(now) if serves else None
        if self.refused and not self.refused.passing:
            document["refused"] = {"registry_version": self.refused.registry_version, "reason": self.refused.reason}
        return document


def now_utc() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Champions:
    """Follows MLflow's champions and holds what is loaded.

    Args:
        settings: Where MLflow and the public keys are, and which environment this is.
        record: Where starts and refusals are noted.
        clock: What time it is.
        stops: Which models were stopped.
        alias: The alias in MLflow that is followed.
    """

    def __init__(self, settings: Settings, record: Record, clock: Clock, stops: Stops, alias: str = CHAMPION) -> None:
        self.now = clock
        self.problem: str | None = "The scoring service has just started and has not seen MLflow yet."
        self.states: dict[str, State] = {}
        self._settings = settings
        self._record = record
        self._stops = stops
        self._registry = Registry(settings.require("mlflow_url"), alias)
        self.looked = 0
        self._started = 0
        self._nudged: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow_all, name="champions", daemon=True)

    @property
    def waiting(self) -> int:
        """How many entries the ledger still has to take."""
        return self._record.waiting

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; what is loaded stays loaded."""
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def nudge(self, model: str) -> int:
        """Have a model looked at now; return the number of the look that will have seen what is there now."""
        with self._lock:
            self._nudged.add(model)
            ticket = self._started + 1
        self._wake.set()
        return ticket

    def state(self, model: str) -> State:
        """Return where a model stands."""
        return self.states.get(model) or State(model)

    def look(self) -> None:
        """Look once at every champion."""
        with self._lock:
            self._started += 1
            number, nudged, self._nudged = self._started, self._nudged, set()
        followed: Mapping[str, Followed] | None = None
        try:
            followed = self._registry.followed()
            self.problem = None
        except UnavailableError as error:
            self.problem = str(error)
        self._stops.look()  # after MLflow: who sees the alias of what is brought back sees that it may be loaded, too
        if followed is None:
            self._halt_what_serves()
        else:
            self._follow_each(followed, nudged)
        self._record.flush()
        self.looked = number

    def _follow_each(self, followed: Mapping[str, Followed], nudged: Set[str]) -> None:
        try:
            for model in sorted({*followed, *self.states, *self._stops.halts}):
                self._follow(model, followed.get(model, Followed()), nudged=model in nudged)
        except UnavailableError as error:
            self.problem = str(error)

    def _halt_what_serves(self) -> None:
        """Let go of what was stopped, while MLflow cannot be asked."""
        for model, state in list(self.states.items()):
            barred = self._barred(model, Followed(), state.serving)
            if barred:
                self.states[model] = State(model, state.champion, stopped=barred)

    def _follow_all(self) -> None:
        while not self._ending.is_set():
            try:
                self.look()
            except Exception as error:  # nothing may end the thread that finds out what is permitted
                log.exception("Looking for champions failed")
                self.problem = f"Looking for champions failed: {error}"
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _follow(self, model: str, followed: Followed, *, nudged: bool) -> None:
        champion, state = followed.champion, self.state(model)
        barred = self._barred(model, followed, state.serving)
        if barred:
            state = State(model, stopped=barred, refused=state.refused)
        state = replace(state, champion=champion, stopped=barred)
        if champion is None or (barred and not self._lifted(model, followed)):
            self.states[model] = State(model, champion, stopped=barred)
            self._note_barred(model, champion, barred)
        elif state.serving and state.serving.registry_version == champion:
            self.states[model] = replace(state, refused=None)
            self._note_end(state.serving, model)
        elif nudged or not _refused_lately(state, champion, self.now()):
            self._change(state, champion)

    def _barred(self, model: str, followed: Followed, serving: Serving | None) -> str | None:
        """Say why a model must not serve what it serves, or anything at all; ``None`` where it may."""
        halt = self._stops.halts.get(model)
        if halt is not None and (serving is None or serving.evidence not in halt.lifted):
            return halt.sentence
        return followed.stopped

    def _lifted(self, model: str, followed: Followed) -> bool:
        """Whether some version is being brought back, so that it is worth a look which one is champion."""
        halt = self._stops.halts.get(model)
        return halt is not None and bool(halt.lifted) and followed.stopped is None

    def _change(self, state: State, champion: int) -> None:
        try:
            permitted = self._load(state.model, champion)
            self._expect_not_stopped(permitted)
        except UnavailableError as error:  # says nothing about the version: not a refusal, so tried again at once
            self.states[state.model] = replace(state, refused=Refused(champion, str(error), self.now(), passing=True))
            return
        except Exception as error:
            reason = str(error) if isinstance(error, GovernanceError) else f"It cannot be loaded: {error!r}"
            self.states[state.model] = replace(state, refused=Refused(champion, reason, self.now() + RETRY))
            self._record.refused(state.model, {"registry_version": champion, "reason": reason})
            return
        serving = Serving(permitted, Scorer(permitted), self.now())
        self.states[state.model] = replace(state, serving=serving, refused=None, stopped=None)
        self._record.served(state.model, _described(serving))

    def _load(self, model: str, version: int) -> Permitted:
        # Read anew each time: a key that was withdrawn must not count until this process is restarted.
        keys = PublicKeys.from_folder(self._settings.public_keys)
        with tempfile.TemporaryDirectory(prefix="champion-") as name:
            folder = self._registry.fetch(model, version, Path(name))
            return load_permitted(folder, Wanted(model, version, self._settings.environment, self.now()), keys)

    def _expect_not_stopped(self, permitted: Permitted) -> None:
        halt = self._stops.halts.get(permitted.permit.model)
        if halt is not None and permitted.permit.evidence_digest not in halt.lifted:
            raise NotPermittedError(halt.sentence)

    def _note_barred(self, model: str, champion: int | None, barred: str | None) -> None:
        if champion is not None and barred:
            self._record.refused(model, {"registry_version": champion, "reason": barred})

    def _note_end(self, serving: Serving, model: str) -> None:
        stopped = serving.stopped(self.now())
        if stopped:
            self._record.refused(model, {"registry_version": serving.registry_version, "reason": stopped})


def _described(serving: Serving) -> Json:
    return {
        "version": serving.version,
        "registry_version": serving.registry_version,
        "evidence": serving.evidence,
        "manifest": serving.permitted.permit.manifest,
        "since": serving.since.isoformat(),
    }


def _refused_lately(state: State, champion: int, now: datetime) -> bool:
    return bool(state.refused and state.refused.registry_version == champion and now < state.refused.retry_at)
