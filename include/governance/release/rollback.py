"""Rollback: bring back an earlier version whose permit is still valid, or do what the tier says where there is none.

A version comes back as it was released: its bytes are verified against its permit and the ledger, the scoring service
serves it, and a smoke test passes, before the entry ``rollback`` says so. A version that fails is left, and the next
one is tried. Which one to leave is fixed in the ledger before anything is moved, so that an attempt that was cut off
anywhere, and is repeated under its key, completes what was asked and does nothing else.

Not guaranteed: that the version which comes back is any better. Who decides that is the monitoring, or a person.
"""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governance.catalog import find_spec
from governance.errors import GovernanceError, InputError, NotPermittedError, RefusedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.policy import load_policy
from governance.release.attempt import SERVE_SECONDS, Attempt, OvertakenError, give_back, short
from governance.release.registry import Registry
from governance.release.scoring import Replicas
from governance.release.stop import LONGEST_REASON, plain_reason, stop
from governance.release.verify import Verified, candidate_to_restore, expect_whole, verify_release
from governance.review import entries
from governance.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """An earlier version that may come back.

    Attributes:
        version: Semantic version.
        registry_version: Version in MLflow's registry.
        evidence: Digest of what was signed.
        permit_expires_at: When its permit ends.
        release: The entry by which it served last.
    """

    version: str
    registry_version: int
    evidence: str
    permit_expires_at: datetime
    release: Entry


@dataclass(frozen=True)
class RollbackOutcome:
    """What came of a rollback.

    Attributes:
        model: The model's name.
        action: ``rolled_back``, ``kept`` (it serves on, and people are called) or ``suspended``.
        version: What serves now; ``None`` where nothing does.
        registry_version: Its version in MLflow's registry.
        evidence: Digest of what was signed of it.
        previous: What served before: ``version``, ``registry_version``, ``evidence``.
        tried: The versions that could not come back: ``version``, ``evidence`` and ``reason`` of each.
        entry: Key of the ledger's entry.
        already: Whether it had been done before, and nothing was done.
        reason: What happened, in a sentence.
    """

    model: str
    action: str
    version: str | None
    registry_version: int | None
    evidence: str | None
    previous: Json | None
    tried: Sequence[Json]
    entry: str
    already: bool
    reason: str


def targets(settings: Settings, ledger: Ledger, model: str, now: datetime) -> list[Target]:
    """Return the versions that may come back, the one that served last first.

    Those whose permit is valid now by the ledger: for this environment, not over, not revoked. Without what serves,
    and without what was taken out of service for a cause, by a rollback, a revert or a stop: such a version comes back
    only when a person names it. Bytes are not verified here.

    Raises:
        UnavailableError: The ledger does not answer.
    """
    withdrawn = entries.withdrawn(entries.terms(ledger, model))
    return [one for one in _permitted(settings, ledger, model, now) if one.evidence not in withdrawn]


def verified_target(settings: Settings, ledger: Ledger, registry: Registry, target: Target, now: datetime) -> Verified:
    """Verify a version that may come back: its record, its permit and every byte. Nothing is moved.

    Raises:
        TamperedError: A byte is not what was signed; the message names the file.
        NotPermittedError: The permit does not permit.
        UnavailableError: MLflow, the ledger or the snapshot does not answer.
    """
    model = target.release.subject
    with tempfile.TemporaryDirectory(prefix="rollback-") as name:
        folder = registry.fetch(model, target.registry_version, Path(name))
        candidate = candidate_to_restore(settings, ledger, model, target.evidence, folder, now)
        return verify_release(settings, ledger, candidate, folder, now)


def begin(
    ledger: Ledger,
    *,
    model: str,
    actor: str,
    reason: str,
    key: str,
    to: str | None = None,
    decision: str | None = None,
    asked_at: datetime | None = None,
) -> Entry:
    """Enter that a rollback was asked for, and what serves; or find that entry again, whatever is asked now.

    Args:
        ledger: The record, with the pipeline's rights.
        model: The model's name.
        actor: Pseudonymous id of who asks.
        reason: Why.
        key: What makes it the same rollback.
        to: The version to bring back; the first of :func:`targets` by default.
        decision: Key of the ledger's entry that asked for it, such as that of the monitoring.
        asked_at: When it was asked for, where that was a while ago: two people who ask at once mean the same version.

    Raises:
        InputError: There is no reason to tell, or no such decision.
        RefusedError: The decision was about a version that serves no more, or what serves changed since it was asked.
    """
    known = ledger.get(f"operation:{key}")
    if known is not None:
        return known
    if asked_at is not None:
        _expect_no_change_since(ledger, model, asked_at)
    serving = short(entries.champion_entry(ledger, model))
    if decision is not None:
        _expect_decision(ledger, model, decision, serving)
    data = {
        "operation": "rollback",
        "reason": plain_reason(reason),
        "to": to,
        "decision": decision,
        "serving": serving,
    }
    return ledger.append("operation", model, data, actor=actor, key=f"operation:{key}")


def roll_back(
    settings: Settings,
    ledger: Ledger,
    *,
    model: str,
    actor: str,
    reason: str,
    key: str,
    to: str | None = None,
    decision: str | None = None,
    serve_seconds: float = SERVE_SECONDS,
) -> RollbackOutcome:
    """Bring an earlier version back; where none can, do what the tier says.

    Args:
        settings: Where things are.
        ledger: The record, with the pipeline's rights.
        model: The model's name.
        actor: Pseudonymous id of who asks, or the name of a service.
        reason: Why.
        key: What makes it the same rollback: repeated under it, what was asked first is completed once.
        to: The version to bring back, and no other; the first of :func:`targets` that can by default. A person may
            name one that was taken out of service.
        decision: Key of the ledger's entry that asked for it.
        serve_seconds: How long the scoring service may take to serve a version.

    Raises:
        InputError: Nothing was ever released, or there is no such version to bring back.
        RefusedError: The version that a person named cannot come back, or another one serves than when it was asked
            for; nothing was moved, or what served before serves again.
        TamperedError: The ledger is not whole; nothing was moved.
        UnavailableError: MLflow, the ledger, the snapshot or the scoring service does not answer: ask again under the
            same key. What served before is champion again.
    """
    asked = begin(ledger, model=model, actor=actor, reason=reason, key=key, to=to, decision=decision)
    done = _done(ledger, key)
    if done is not None:
        return done
    rollback = _Rollback(settings, ledger, Registry(settings.require("mlflow_url")), asked, key, serve_seconds)
    return rollback.carry_out()


@dataclass(frozen=True)
class _Rollback:
    """A rollback under way."""

    settings: Settings
    ledger: Ledger
    registry: Registry
    asked: Entry
    key: str
    serve_seconds: float

    @property
    def model(self) -> str:
        return self.asked.subject

    @property
    def serving(self) -> Json | None:
        """What served when it was asked for, and still does."""
        found: Json | None = self.asked.data["serving"]
        return found

    @property
    def service(self) -> Replicas:
        return Replicas(self.settings.require("serving_url"))

    def carry_out(self) -> RollbackOutcome:
        self._expect_unchanged()
        expect_whole(self.ledger)
        now, tried = datetime.now(UTC), list[Json]()
        for target in self._targets(now):
            try:
                return self._restored(target, tried, now)
            except OvertakenError:
                raise
            except UnavailableError:
                self._give_back()
                raise
            except Exception as error:  # whatever it was: this version cannot come back, another may
                reason = str(error) or type(error).__name__
                tried.append({"version": target.version, "evidence": target.evidence, "reason": reason})
        return self._without_target(tried)

    def _targets(self, now: datetime) -> list[Target]:
        to = self.asked.data["to"]
        if to is None and self._is_decided_without_target():
            return []
        if to is None:
            return targets(self.settings, self.ledger, self.model, now)
        named = [one for one in _permitted(self.settings, self.ledger, self.model, now) if one.version == to]
        if not named:
            known = ", ".join(one.version for one in _permitted(self.settings, self.ledger, self.model, now)) or "none"
            raise InputError(
                f"Expected a version of {self.model} that was released, does not serve and has a valid permit, found "
                f"{to}. There are: {known}."
            )
        return named[:1]

    def _is_decided_without_target(self) -> bool:
        """Say whether a monitor asked for it that found no version which is no worse: then none may come back."""
        decided = self.ledger.get(self.asked.data["decision"]) if self.asked.data["decision"] else None
        return decided is not None and decided.kind == "monitoring" and not decided.data["decision"]["target"]

    def _restored(self, target: Target, tried: Sequence[Json], now: datetime) -> RollbackOutcome:
        verified = verified_target(self.settings, self.ledger, self.registry, target, now)
        key = f"rollback:{self.key}"
        attempt = Attempt(self.ledger, self.registry, self.service, verified, self.asked.actor, key)
        attempt.begin()
        attempt.serve_and_test(self.serve_seconds)
        attempt.expect_champion()
        said = {name: self.asked.data[name] for name in ("reason", "decision")}
        data = {**attempt.facts(), **said, "previous": self.serving, "tried": list(tried), "operation": self.asked.key}
        return _outcome(self.ledger.append("rollback", self.model, data, actor=self.asked.actor, key=key))

    def _without_target(self, tried: Sequence[Json]) -> RollbackOutcome:
        """Do what the tier says; a version that a person named, and that cannot come back, changes nothing."""
        if self.asked.data["to"] is not None and self.asked.data["decision"] is None:
            self._give_back()
            raise RefusedError(f"{self.model} {tried[0]['version']} cannot come back. {tried[0]['reason']}")
        policy = load_policy(find_spec(self.settings, self.model).folder, self.settings.policies)
        why = {"decision": self.asked.data["decision"], "operation": self.asked.key}
        more = {**why, "tried": list(tried), "previous": self.serving}
        if self.serving is None or policy.no_rollback_target == "suspend":
            return self._suspended(more)
        self._give_back()
        data = {**self.serving, **more, "reason": self.asked.data["reason"]}
        key = f"no_rollback:{self.key}"
        return _outcome(self.ledger.append("no_rollback", self.model, data, actor=self.asked.actor, key=key))

    def _suspended(self, more: Json) -> RollbackOutcome:
        reason = f"There is no version to roll back to. {self.asked.data['reason']}"
        stop(
            self.settings,
            self.ledger,
            model=self.model,
            actor=self.asked.actor,
            reason=reason[:LONGEST_REASON],
            key=self.key,
            more=more,
        )
        done = _done(self.ledger, self.key)
        if done is None:
            raise UnavailableError(f"Expected the stop of {self.model} in the ledger, found none. Ask again.")
        return replace(done, already=False)

    def _give_back(self) -> None:
        """Make champion again what served before; where MLflow is away, the next attempt goes on from here."""
        with suppress(GovernanceError):
            give_back(self.ledger, self.registry, self.model, self.serving)
            self.service.refresh(self.model)

    def _expect_unchanged(self) -> None:
        now = short(entries.champion_entry(self.ledger, self.model))
        if now != self.serving:
            was, is_now = (one["version"] if one else "nothing" for one in (self.serving, now))
            raise RefusedError(
                f"Expected {was} of {self.model} to serve, as when this rollback was asked for, found {is_now}. "
                f"Nothing was moved. Look at `governance live {self.model}`, and ask anew if need be."
            )
        if now is None and not entries.terms(self.ledger, self.model):
            raise InputError(f"Expected a released version of {self.model}, found none: there is nothing to roll back.")


def _permitted(settings: Settings, ledger: Ledger, model: str, now: datetime) -> list[Target]:
    """Return every earlier version whose permit is valid now, the one that served last first, one per evidence."""
    found = entries.terms(ledger, model)
    serving = entries.serving(found)
    last = {term.evidence: term.release for term in found}
    newest = sorted(last.values(), key=lambda release: release.seq, reverse=True)
    wanted = [release for release in newest if serving is None or release.data["evidence"] != serving.data["evidence"]]
    return [target for release in wanted if (target := _target(settings, ledger, release, now))]


def _target(settings: Settings, ledger: Ledger, release: Entry, now: datetime) -> Target | None:
    data = release.data
    try:
        issued = entries.permit_entry(ledger, release.subject, data["evidence"]).data["permit"]
        entries.expect_not_revoked(ledger, release.subject, data["evidence"])
    except NotPermittedError:
        return None
    expires = datetime.fromisoformat(issued["expires_at"])
    if issued["environment"] != settings.environment or now >= expires:
        return None
    return Target(data["version"], data["registry_version"], data["evidence"], expires, release)


def _expect_no_change_since(ledger: Ledger, model: str, asked_at: datetime) -> None:
    changes = entries.changes(ledger, model)
    if changes and changes[-1].at > asked_at:
        last = changes[-1]
        raise RefusedError(
            f"Expected what served at {asked_at:%H:%M:%S} UTC, when this rollback of {model} was asked for, found a "
            f"{last.kind} of {last.at:%H:%M:%S} since (entry {last.seq}). Nothing was moved; ask anew if need be."
        )


def _expect_decision(ledger: Ledger, model: str, decision: str, serving: Json | None) -> None:
    entry = ledger.get(decision)
    if entry is None or entry.subject != model:
        raise InputError(f"Expected a decision about {model} with the key {decision!r} in the ledger, found none.")
    about = entry.data.get("evidence")
    if about is not None and (serving is None or about != serving["evidence"]):
        now = serving["version"] if serving else "nothing"
        raise RefusedError(
            f"The decision in entry {entry.seq} is about evidence {str(about)[:16]}… of {model}, which serves no more: "
            f"{now} does. Nothing was moved."
        )


def _done(ledger: Ledger, key: str) -> RollbackOutcome | None:
    for kind in ("rollback", "no_rollback", "stop"):
        entry = ledger.get(f"{kind}:{key}")
        if entry is not None:
            return _outcome(entry, already=True)
    return None


_ACTIONS = {"rollback": "rolled_back", "no_rollback": "kept", "stop": "suspended"}


def _outcome(entry: Entry, *, already: bool = False) -> RollbackOutcome:
    data, action = entry.data, _ACTIONS[entry.kind]
    before = data["previous"]["version"] if data["previous"] else "nothing"
    said = {
        "rolled_back": f"{entry.subject} {data['version']} serves again, instead of {before}.",
        "kept": f"There is no version of {entry.subject} to roll back to: {before} serves on. People are called.",
        "suspended": f"There is no version of {entry.subject} to roll back to: the model is stopped; {before} served.",
    }[action]
    serves = action != "suspended"
    return RollbackOutcome(
        model=entry.subject,
        action=action,
        version=data["version"] if serves else None,
        registry_version=data["registry_version"] if serves else None,
        evidence=data["evidence"] if serves else None,
        previous=data["previous"],
        tried=data["tried"],
        entry=entry.key,
        already=already,
        reason=said,
    )
