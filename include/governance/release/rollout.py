"""Release: verify everything, move ``champion``, see it serve, test it live, write it down; or move back and say so.

Setting the alias is not the authority: the scoring service loads only what is permitted. Each step may be repeated, and
a release that was cut off anywhere is completed by the next attempt: what served before is taken from the ledger, not
from the alias, which may have been moved already. The ``release`` entry comes last, so it says what is true.

Not guaranteed: that two releases of one model at the same moment do not overtake each other. The one that finds
another champion than its own after the test moves nothing back and says so.
"""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governance.ledger.log import Entry, Ledger
from governance.release.attempt import SERVE_SECONDS, Attempt, OvertakenError, give_back, short
from governance.release.registry import PERMIT_FOLDER, Registry
from governance.release.scoring import Replicas
from governance.release.verify import Candidate, Verified, candidate_to_release, expect_same_files, verify_release
from governance.review import entries
from governance.review.waiting import evidence_to_sign
from governance.settings import Settings

Json = dict[str, Any]

STATE_TAG = "governance.state"


@dataclass(frozen=True)
class Outcome:
    """What came of a release.

    Attributes:
        model: The model's name.
        version: Semantic version.
        registry_version: Version in MLflow's registry.
        evidence: Digest of what was signed.
        manifest: Digest of the model files.
        previous: What served before, as the ledger has it: ``version``, ``registry_version``, ``evidence``.
        reverted: Whether it was moved back.
        already: Whether it had been released before, and nothing was done.
        reason: What happened, in a sentence.
    """

    model: str
    version: str
    registry_version: int
    evidence: str
    manifest: str
    previous: Json | None
    reverted: bool
    already: bool
    reason: str


def release(
    settings: Settings, ledger: Ledger, *, model: str, run_id: str, actor: str, serve_seconds: float = SERVE_SECONDS
) -> Outcome:
    """Release what a run judged and people signed.

    Args:
        settings: Where things are.
        ledger: The record, with the pipeline's rights.
        model: The model's name.
        run_id: The run whose evidence was signed.
        actor: Pseudonymous id of who started the run.
        serve_seconds: How long the scoring service may take to serve it.

    Returns:
        What came of it; ``reverted`` where it did not serve or failed the test, and was moved back.

    Raises:
        TamperedError: A byte is not what was signed; nothing was moved.
        NotPermittedError: There is no valid permit; nothing was moved.
        UnavailableError: MLflow, the ledger or the snapshot does not answer.
    """
    digest = str(evidence_to_sign(ledger, model, run_id).data["digest"])
    registry = Registry(settings.require("mlflow_url"))
    done = _done(ledger, registry, model, digest)
    if done is not None:
        return done
    now = datetime.now(UTC)
    candidate = candidate_to_release(settings, ledger, model, digest, now)
    service = Replicas(settings.require("serving_url"))
    verified = _verify_in_mlflow(settings, ledger, registry, candidate, now)
    key, previous = _key(ledger, model, digest), short(entries.champion_entry(ledger, model))
    attempt = _Release(ledger, registry, service, verified, actor, key, previous)
    try:
        attempt.begin()
        attempt.serve_and_test(serve_seconds)
        return attempt.record()
    except OvertakenError:
        raise
    except Exception as error:  # whatever it was: what served before must serve again
        return attempt.move_back(str(error) or type(error).__name__)


@dataclass(frozen=True)
class _Release(Attempt):
    """One attempt to bring a verified candidate into service for the first time."""

    previous: Json | None

    def record(self) -> Outcome:
        version = self.candidate.registry_version
        self.expect_champion()
        self.registry.tag(self.model, version, {STATE_TAG: "released"})
        entry = self.ledger.append("release", self.model, self._data(), actor=self.actor, key=self.key)
        return _outcome(entry, f"{self.model} {entry.data['version']} is released and serves.")

    def move_back(self, reason: str) -> Outcome:
        """Give the alias back first: what serves matters more than what is written."""
        give_back(self.ledger, self.registry, self.model, self.previous)
        try:
            self.service.refresh(self.model)
        except Exception as error:  # the record of the way back must be written whatever it answers
            reason = f"{reason} The scoring service did not hear of the way back: {error}"
        self.registry.tag(self.model, self.candidate.registry_version, {STATE_TAG: "reverted"})
        data = {**self._data(), "reason": reason}
        key = f"revert:{self.candidate.digest}:{_reverts(self.ledger, self.model, self.candidate.digest) + 1}"
        entry = self.ledger.append("revert", self.model, data, actor=self.actor, key=key)
        return _outcome(entry, reason, reverted=True)

    def _data(self) -> Json:
        return {**self.facts(), "run_id": self.candidate.evidence.data["run_id"], "previous": self.previous}


def _verify_in_mlflow(
    settings: Settings, ledger: Ledger, registry: Registry, candidate: Candidate, now: datetime
) -> Verified:
    """Fetch what MLflow holds, verify it, and add the permit to it.

    Files of the permit that lie there already must be the same: a changed one is refused, not mended.
    """
    model, version = candidate.evidence.subject, candidate.registry_version
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = registry.fetch(model, version, Path(name))
        expect_same_files(candidate, folder)
        candidate.files.write(folder / PERMIT_FOLDER)
        verified = verify_release(settings, ledger, candidate, folder, now)
    registry.upload_bundle(model, version, candidate.files.files())
    return verified


def _done(ledger: Ledger, registry: Registry, model: str, digest: str) -> Outcome | None:
    """Return the outcome of an earlier release; ``None`` where there is something left to do.

    One that was recorded but whose alias was moved since is completed again.
    """
    done = ledger.get(_key(ledger, model, digest))
    if done is None:
        return None
    current = entries.champion_entry(ledger, model)
    serves = current is not None and current.key == done.key
    if serves and registry.champion(model) != done.data["registry_version"]:
        return None
    now = "it serves" if serves else f"{current.data['version'] if current else 'nothing'} serves now"
    reason = f"{model} {done.data['version']} was released on {done.at:%d %b %Y %H:%M} UTC; {now}. Nothing was done."
    return _outcome(done, reason, already=True)


def _outcome(entry: Entry, reason: str, *, reverted: bool = False, already: bool = False) -> Outcome:
    data = entry.data
    return Outcome(
        model=entry.subject,
        version=data["version"],
        registry_version=data["registry_version"],
        evidence=data["evidence"],
        manifest=data["manifest"],
        previous=data["previous"],
        reverted=reverted,
        already=already,
        reason=reason,
    )


def _key(ledger: Ledger, model: str, digest: str) -> str:
    """Return the key of the release; one that was moved back may be done again, as another entry."""
    reverts = _reverts(ledger, model, digest)
    return f"release:{digest}:{reverts + 1}" if reverts else f"release:{digest}"


def _reverts(ledger: Ledger, model: str, digest: str) -> int:
    return sum(entry.data["evidence"] == digest for entry in ledger.find(kind="revert", subject=model))
