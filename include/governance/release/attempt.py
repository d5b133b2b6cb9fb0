"""Bringing a verified version into service: what a release and a rollback have in common.

:mod:`governance.release.rollout` and :mod:`governance.release.rollback` decide which version, and write down what came
of it. A model that was stopped is let in again here, for the one version that is on its way.
"""

from dataclasses import dataclass
from typing import Any

from governance.errors import RefusedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.release.registry import Registry
from governance.release.scoring import Replicas
from governance.release.smoke import smoke_test
from governance.release.verify import Candidate, Verified
from governance.review import entries

Json = dict[str, Any]

SERVE_SECONDS = 60.0
"""How long the scoring service may take to serve a version, by default."""


class OvertakenError(RefusedError):
    """Another release or rollback moved the alias meanwhile."""


@dataclass(frozen=True)
class Attempt:
    """One attempt to bring a verified candidate into service.

    Attributes:
        ledger: The record, with the pipeline's rights.
        registry: MLflow.
        service: The scoring service, every replica of it.
        verified: What is to serve.
        actor: Pseudonymous id of who asked for it.
        key: Key of the entry that will say that it serves.
    """

    ledger: Ledger
    registry: Registry
    service: Replicas
    verified: Verified
    actor: str
    key: str

    @property
    def candidate(self) -> Candidate:
        """What is to serve, as the ledger has it."""
        return self.verified.candidate

    @property
    def model(self) -> str:
        """The model's name."""
        return self.candidate.evidence.subject

    def begin(self) -> None:
        """Make it champion; where the model was stopped, let the scoring service load this version and no other.

        Raises:
            UnavailableError: MLflow or the ledger does not answer.
        """
        halt = entries.halt_of(self.ledger, self.model)
        if halt is not None and self.candidate.digest not in halt.lifted:
            data = {**self.facts(), "stop": halt.stop.key}
            self.ledger.append("resume", self.model, data, actor=self.actor, key=self._resume_key(halt))
        self.registry.clear_stopped(self.model)
        self.registry.set_champion(self.model, self.candidate.registry_version)

    def serve_and_test(self, seconds: float) -> None:
        """Wait until the scoring service serves it, and test it there: every replica that answers.

        Raises:
            RefusedError: It does not serve in time, is refused, or answers otherwise than the verified bytes.
            UnavailableError: It does not answer.
        """
        looks = self.service.refresh(self.model)
        self.service.wait_for(self.model, self.candidate.registry_version, self.candidate.digest, looks, seconds)
        for replica in looks:
            smoke_test(replica, self.verified)

    def expect_champion(self) -> None:
        """Refuse where it is champion no more.

        Raises:
            OvertakenError: Names what is.
        """
        version, champion = self.candidate.registry_version, self.registry.champion(self.model)
        if champion != version:
            raise OvertakenError(
                f"Expected version {version} of {self.model} to be champion still, found {champion}: another release "
                f"overtook this one. Nothing was recorded; look at `governance live {self.model}`."
            )

    def facts(self) -> Json:
        """Return what an entry says of a version, whatever became of it."""
        issued, document = self.candidate.permit.data["permit"], self.candidate.document
        return {
            "version": issued["version"],
            "registry_version": self.candidate.registry_version,
            "evidence": self.candidate.digest,
            "evidence_entry": self.candidate.evidence.key,
            "manifest": issued["manifest"],
            "snapshot": document["data"]["snapshot"],
            "source": document["data"]["source"],
            "permit_expires_at": issued["expires_at"],
        }

    def _resume_key(self, halt: entries.Halt) -> str:
        return f"resume:{halt.stop.seq}:{self.candidate.digest}:{self.key}"


def short(entry: Entry | None) -> Json | None:
    """Return ``version``, ``registry_version`` and ``evidence`` of a release or rollback."""
    return {name: entry.data[name] for name in ("version", "registry_version", "evidence")} if entry else None


def give_back(ledger: Ledger, registry: Registry, model: str, previous: Json | None) -> None:
    """Give the alias back to what served before; to nothing where the model was stopped, now or meanwhile.

    Args:
        ledger: The record.
        registry: MLflow.
        model: The model's name.
        previous: What served when the attempt began.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    try:
        halt = entries.halt_of(ledger, model)
    except UnavailableError:  # what serves matters more than what is known
        halt = None
    if halt is not None:
        registry.set_stopped(model, halt.sentence)
    if halt is not None or previous is None:
        registry.clear_champion(model)
    else:
        registry.set_champion(model, previous["registry_version"])
