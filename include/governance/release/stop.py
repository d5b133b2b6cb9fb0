"""Stop: take a model out of service in seconds, whatever else is broken.

Two places hear of it, and either suffices: MLflow (the alias ``champion`` is cleared, and the model marked as stopped)
and the ledger (an entry ``stop``). The scoring service looks at both every two seconds, and at once when it is nudged.
Nothing is verified first: stopping is the safe side. Only what serves nothing is not stopped. The model serves again
after a release or a rollback, which say in the ledger which version may be loaded (:mod:`governance.release.attempt`).

Not guaranteed: that a scoring service without a ledger, or one that was started while the ledger is away, knows of the
stop once somebody with rights in MLflow has taken the mark away there and set the alias by hand.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from governance.errors import GovernanceError, InputError, RefusedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.release.attempt import short
from governance.release.registry import Registry
from governance.release.scoring import Replicas
from governance.review import entries
from governance.settings import Settings

Json = dict[str, Any]

SHORTEST_REASON, LONGEST_REASON = 5, 1000
STOP_SECONDS = 10.0
"""How long the scoring service may take to let go of a model; it looks every two seconds by itself."""


@dataclass(frozen=True)
class StopOutcome:
    """What came of a stop.

    Attributes:
        model: The model's name.
        stopped: What served: ``version``, ``registry_version``, ``evidence``; ``None`` where nothing did.
        entry: Key of the ledger's entry.
        already: Whether it had been stopped before, and no entry was written.
        confirmed: Whether the scoring service said that it serves the model no more.
        problems: What did not answer, in sentences.
        reason: What happened, in a sentence.
    """

    model: str
    stopped: Json | None
    entry: str
    already: bool
    confirmed: bool
    problems: tuple[str, ...]
    reason: str


def stop(
    settings: Settings,
    ledger: Ledger,
    *,
    model: str,
    actor: str,
    reason: str,
    key: str,
    more: Mapping[str, Any] | None = None,
    seconds: float = STOP_SECONDS,
) -> StopOutcome:
    """Take a model out of service.

    Args:
        settings: Where things are.
        ledger: The record, with the rights of the pipeline or of the review identity.
        model: The model's name.
        actor: Pseudonymous id of who stops it.
        reason: Why; the scoring service tells it to whoever asks for a prediction.
        key: What makes it the same stop.
        more: Further facts for the entry.
        seconds: How long to wait for the scoring service to confirm.

    Raises:
        InputError: There is no reason to tell.
        UnavailableError: The ledger does not answer. What can be done without it was done; the message says what.
    """
    told = plain_reason(reason)
    problems = _take_out_of_mlflow(settings, model, entries.stopped_sentence(model, datetime.now(UTC), told))
    try:
        entry = _recorded(ledger, model, actor, told, f"stop:{key}", more or {})
    except UnavailableError as error:
        _let_go(settings, model, seconds, problems)
        done = (
            "The alias champion was cleared in MLflow, so the scoring service lets go of it. " if not problems else ""
        )
        raise UnavailableError(
            f"The stop of {model} was not recorded. {done}{' '.join([*problems, str(error)])}"
        ) from error
    confirmed = _let_go(settings, model, seconds, problems)
    what = f"{model} {entry.data['version']}" if entry.data["version"] else f"{model}, of which nothing served,"
    already = not entry.created or entry.key != f"stop:{key}"
    said = f"{what} was stopped on {entry.at:%d %b %Y %H:%M} UTC already." if already else f"{what} is stopped."
    served = {name: entry.data[name] for name in ("version", "registry_version", "evidence")}
    return StopOutcome(
        model, served if entry.data["evidence"] else None, entry.key, already, confirmed, tuple(problems), said
    )


def expect_serving(settings: Settings, ledger: Ledger, model: str) -> None:
    """Refuse to stop a model that serves nothing and was not stopped: it would open an incident about nothing.

    Only where everything that can be asked says so. Ledger or MLflow not answering is a reason to stop it.

    Raises:
        RefusedError: Neither the ledger nor MLflow knows of anything that serves.
    """
    try:
        if entries.champion_entry(ledger, model) or entries.halt_of(ledger, model):
            return
        if Registry(settings.require("mlflow_url")).champion(model) is not None:
            return
    except GovernanceError:
        return
    raise RefusedError(
        f"Nothing of {model} serves, so there is nothing to stop: the ledger has no release of it in force, and MLflow "
        f"no version with the alias champion. Nothing was changed. To keep a candidate from being released, reject it."
    )


def plain_reason(reason: str) -> str:
    """Return a reason on one line.

    Raises:
        InputError: It is too short to say anything, or too long.
    """
    text = " ".join(reason.split())
    if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
        raise InputError(
            f"Expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, found {len(text)}: it stands in "
            f"the record and is told to people."
        )
    return text


def _take_out_of_mlflow(settings: Settings, model: str, sentence: str) -> list[str]:
    try:
        registry = Registry(settings.require("mlflow_url"))
        registry.clear_champion(model)
        registry.set_stopped(model, sentence)
    except GovernanceError as error:  # the ledger's entry stops it, too
        return [str(error)]
    return []


def _recorded(ledger: Ledger, model: str, actor: str, reason: str, key: str, more: Mapping[str, Any]) -> Entry:
    """Return the entry of this stop, or of the one in force, where another would say nothing new."""
    known = ledger.get(key)
    halt = entries.halt_of(ledger, model)
    if known is not None or (halt is not None and not halt.lifted and not more):
        return known or halt.stop  # type: ignore[union-attr]  # one of them is there
    served = short(entries.champion_entry(ledger, model)) or dict.fromkeys(("version", "registry_version", "evidence"))
    return ledger.append("stop", model, {**served, "reason": reason, **more}, actor=actor, key=key)


def _let_go(settings: Settings, model: str, seconds: float, problems: list[str]) -> bool:
    """Nudge each replica of the scoring service, and wait until it serves the model no more; whether all said so."""
    deadline = time.monotonic() + seconds
    unconfirmed = []
    try:
        for replica in Replicas(settings.require("serving_url")).all:
            try:
                replica.wait_until_gone(model, replica.refresh(model), max(0.0, deadline - time.monotonic()))
            except GovernanceError as error:  # the others must be asked all the same
                unconfirmed.append(error)
    except InputError as error:
        unconfirmed.append(error)
    problems.extend(f"The scoring service did not confirm it. {error}" for error in unconfirmed)
    return not unconfirmed
