"""Can the signatures that the policy demands be given at all, and by others than the developers?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from governance.catalog import ModelSpec, People, Person
from governance.check.wording import did_you_mean
from governance.policyfile import PolicyFile, TierFile
from governance.yamlfile import Document, Fault

Own = Document[PolicyFile]
Tier = Document[TierFile]


def faults(own: Own, tier: Tier, people: People, spec: ModelSpec | None) -> Iterator[Fault]:
    """Yield demands for signatures that nobody, too few, or only developers could meet."""
    demanded = _demanded(own, tier)
    developers = set(spec.developers) if spec else set()
    able = {role: [one for one in people.holders(role) if one.login not in developers] for role in demanded}
    short = False
    for role, needed in demanded.items():
        for fault in _role(own, tier, people, role, needed, able[role]):
            short = True
            yield fault
    if not short and not _can_be_filled(demanded, able):
        wanted = " and ".join(f"{count} × `{role}`" for role, count in demanded.items())
        found = f"{wanted} cannot be signed by different people: too few hold these roles."
        yield _document(own, tier, "").fault(("approvals", "roles"), found, "Give a role to one more person.")
    yield from _in_an_emergency(own, tier, people, developers)


def _in_an_emergency(own: Own, tier: Tier, people: People, developers: set[str]) -> Iterator[Fault]:
    """Yield roles of a break-glass release that there are not, and one that too few people could take part in."""
    allowed = tier.content.break_glass
    if allowed is None or own.content.break_glass.forbidden:
        return
    file = people.document.path.name
    unknown = [role for role in allowed.roles if role not in people.document.content.roles]
    for role in unknown:
        remedy = did_you_mean(role, people.document.content.roles, f"Define it under `roles:` in {file}.")
        yield tier.fault(("break_glass", "roles"), f"Unknown role `{role}`.", remedy)
    able = {one.id for role in allowed.roles for one in people.holders(role) if one.login not in developers}
    needed = own.content.break_glass.people or allowed.people
    if not unknown and len(able) < needed:
        found = f"A break-glass release takes {needed} people who are not developers, but only {len(able)} could."
        yield tier.fault(("break_glass", "roles"), found, f"Give one of the roles to somebody else in {file}.")


def notes(spec: ModelSpec, people: People, own: Own, tier: Tier) -> Iterator[Fault]:
    """Yield developers who hold a role that signs: right, for they are refused where they have built."""
    demanded = _demanded(own, tier)
    for index, login in enumerate(spec.developers):
        person = people.by_login(login)
        held = [f"`{role}`" for role in person.roles if role in demanded] if person else []
        if person and held:
            found = f"{person.name} holds {' and '.join(held)} and will be refused on this model, as its developer."
            yield spec.document.fault(("developers", index), found, "Others hold the role: nothing to do.")


def _demanded(own: Own, tier: Tier) -> dict[str, int]:
    return {**tier.content.approvals.roles, **own.content.approvals.roles}


def _document(own: Own, tier: Tier, role: str) -> Document[Any]:
    """Return the file that demands a role; the floor where both do not name it."""
    return own if role in own.content.approvals.roles else tier


def _role(own: Own, tier: Tier, people: People, role: str, needed: int, able: Sequence[Person]) -> Iterator[Fault]:
    place = _document(own, tier, role)
    path = ("approvals", "roles", role)
    holders = people.holders(role)
    file = people.document.path.name
    if role not in people.document.content.roles:
        remedy = did_you_mean(role, people.document.content.roles, f"Define it under `roles:` in {file}.")
        yield place.fault(path, f"Unknown role `{role}`.", remedy)
    elif not holders:
        yield place.fault(path, f"Nobody holds the role `{role}`.", f"Give it to {needed} in {file}.")
    elif len(able) < needed:
        barred = [one.name for one in holders if one not in able]
        found = f"`{role}` must sign {needed} ×, but only {len(able)} may: {_because(holders, barred)}."
        yield place.fault(path, found, f"Give the role to somebody else in {file}: developers may not sign.")


def _because(holders: Sequence[Person], barred: Sequence[str]) -> str:
    if not barred:
        return f"{len(holders)} hold it"
    return f"{' and '.join(barred)} {'is a developer' if len(barred) == 1 else 'are developers'} of this model"


def _can_be_filled(demanded: Mapping[str, int], able: Mapping[str, Sequence[Person]]) -> bool:
    """Say whether every demanded signature can have a person of its own (a maximum matching, by augmenting paths)."""
    slots = [role for role, count in demanded.items() for _ in range(count)]
    signs: dict[str, int] = {}

    def place(slot: int, tried: set[str]) -> bool:
        for person in able[slots[slot]]:
            if person.id in tried:
                continue
            tried.add(person.id)
            if person.id not in signs or place(signs[person.id], tried):
                signs[person.id] = slot
                return True
        return False

    return all(place(slot, set()) for slot in range(len(slots)))
