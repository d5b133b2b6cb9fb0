"""What a waiting run asks the ledger: is there an answer from this role yet?

Read by the approval sensor and its trigger, with public keys only. The answer is a convenience for the person who
watches the run; release verifies the permit by itself (:mod:`governance.release.verify`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from governance.catalog import People, people_of
from governance.errors import InputError, RefusedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.policy import Policy, load_policy
from governance.review import approvals, permit
from governance.review.approvals import SignedDecision
from governance.settings import Settings


@dataclass(frozen=True)
class Answer:
    """Where one role's approval stands.

    Attributes:
        status: ``pending``, ``approved``, ``denied``, ``expired`` or ``void``.
        sentence: Who, when and why.
        decisions: What those who hold the role decided, as far as it is told: ``person`` (a pseudonymous id),
            ``role``, ``answer``, ``decided_at`` …
    """

    status: str
    sentence: str
    decisions: tuple[Mapping[str, Any], ...] = ()


def evidence_to_sign(ledger: Ledger, model: str, run_id: str) -> Entry:
    """Return the ledger entry of the evidence that this run waits for.

    Raises:
        InputError: Nothing was judged in this run yet.
        RefusedError: The last attempt is blocked: there is nothing to sign.
    """
    entry = next((e for e in ledger.backwards("evidence", model) if e.data["run_id"] == run_id), None)
    if entry is None:
        raise InputError(f"Expected evidence of run {run_id}, found none: clear the judge task.")
    failing = [rule["rule"] for rule in entry.data["evidence"]["verdict"]["rules"] if rule["stops"]]
    if failing:
        raise RefusedError(f"Nothing to sign: the last attempt is blocked by {', '.join(failing)}.")
    return entry


def answer_of_role(settings: Settings, ledger: Ledger, entry: Entry, role: str) -> Answer:
    """Say where a role's approval of this evidence stands.

    Raises:
        UnavailableError: The ledger does not answer.
    """
    policy, people = load_policy(settings.models / entry.subject, settings.policies), people_of(settings)
    document, digest = entry.data["evidence"], entry.data["digest"]
    if (policy.digest, people.digest) != (document["policy"]["digest"], document["people"]["digest"]):
        return Answer(
            "void", "The policy or people.yaml changed since the evidence was written. Trigger the run again."
        )
    decisions = _decisions(settings, ledger, entry, policy, people)
    reject = next((one.decision for one in decisions if one.decision["answer"] == "reject"), None)
    if reject:
        by, title = people.name(reject["person"]), people.role_title(reject["role"])
        sentence = f"{by} ({title}) rejected evidence {digest[:16]}: {_comment(ledger, reject)}"
        return Answer("denied", sentence, (reject,))
    missing = approvals.missing_roles(decisions, policy)
    instead = _instead_of_signatures(settings, ledger, digest, people) if missing else None
    if instead:
        return Answer("approved", f"No more signatures are waited for. {instead}")
    if not missing and ledger.get(f"permit:{digest}") is None and not _is_late(entry):
        sentence = "All have signed, but there is no permit: one of them approves once more, or reads why not."
        return Answer("pending", sentence)
    if role not in missing:
        mine = tuple(one.decision for one in decisions if one.decision["role"] == role)
        names = " and ".join(people.name(one["person"]) for one in mine)
        return Answer("approved", f"{names} signed evidence {digest[:16]} as {people.role_title(role)}.", mine)
    return _still_waiting(entry, role, people)


def _still_waiting(entry: Entry, role: str, people: People) -> Answer:
    expires = _expiry(entry)
    who = " or ".join(person.name for person in people.holders(role)) or "nobody"
    if _is_late(entry):
        sentence = f"Nobody signed as {people.role_title(role)} until {expires:%d %b %H:%M} UTC; {who} could have."
        return Answer("expired", f"{sentence} Nothing is approved by waiting.")
    return Answer("pending", f"Waits for {people.role_title(role)} ({who}) until {expires:%d %b %H:%M} UTC.")


def _expiry(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.data["expires_at"])


def _is_late(entry: Entry) -> bool:
    return datetime.now(UTC) >= _expiry(entry)


def _decisions(
    settings: Settings, ledger: Ledger, entry: Entry, policy: Policy, people: People
) -> list[SignedDecision]:
    keys = PublicKeys.from_folder(settings.public_keys)
    signed = [SignedDecision.from_dict(one.data) for one in ledger.find("decision", entry.subject, entry.seq)]
    return approvals.valid_decisions(signed, entry.data["digest"], entry.data["evidence"], policy, people, keys)


def _instead_of_signatures(settings: Settings, ledger: Ledger, digest: str, people: People) -> str | None:
    """Say on whose word an evidence is permitted without all signatures; ``None`` where it is not."""
    entry = ledger.get(f"permit:{digest}")
    if entry is None:
        return None
    try:
        keys = PublicKeys.from_folder(settings.public_keys)
        keys.verify(entry.data["permit"], entry.data["signature"], permit.PURPOSE, approvals.KEY)
        return permit.word_for_missing_signatures(entry.data["permit"], people)
    except TamperedError:
        return None


def _comment(ledger: Ledger, decision: dict[str, object]) -> str:
    return "the reason is on the review page." if decision["comment"] else "no reason given."
