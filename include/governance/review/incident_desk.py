"""Who may stop a model on the page, and who closes an incident; on the review desk, whose ledger and key it uses."""

from datetime import UTC, datetime

from governance.catalog import Person, find_spec, names_of
from governance.errors import InputError, MayNotSignError, RefusedError
from governance.review import incidents
from governance.review.desk import ReviewDesk
from governance.review.incidents import Event, Incident

SHORTEST_REVIEW, LONGEST_REVIEW = 20, 4000


class IncidentDesk:
    """Reads incidents and closes them, and says who may stop a model."""

    def __init__(self, desk: ReviewDesk) -> None:
        self.desk = desk

    def incidents(self, model: str) -> list[Incident]:
        """Return the incidents of a model, the open ones first, then the newest.

        Raises:
            InputError: There is no such model.
        """
        self.desk.policy(model)  # a model that is not governed has no page either
        known = incidents.of_model(self.desk.ledger, model, self.desk.keys)
        return sorted(known, key=lambda one: (not one.is_open, -one.opened.seq))

    def timeline(self, incident: Incident) -> list[Event]:
        """Return what happened, in the order of the ledger."""
        return incidents.timeline(self.desk.ledger, incident, names_of(self.desk.people()))

    def close(self, *, login: str, model: str, incident: str, review: str) -> Incident:
        """Close an incident with a review.

        Args:
            login: Who closes it, as Airflow's login says.
            model: The model.
            incident: Its id.
            review: What was the cause, what was done, what prevents it from now on.

        Raises:
            InputError: There is no such incident, or the review says too little.
            MayNotSignError: The person may not, with the reason.
            RefusedError: It is closed already.
            UnavailableError: The ledger does not answer; closing again is safe.
        """
        signer = self.desk.expect_signer("incidents are closed")
        found = next((one for one in self.incidents(model) if one.id == incident), None)
        if found is None:
            raise InputError(f"Expected an incident of {model} with the id {incident!r}, found none.")
        people = self.desk.people()
        if found.closing is not None:
            raise RefusedError(f"Incident {incident} was closed by {people.name(found.closing['person'])}.")
        if reason := self.may_not_close(login, found):
            raise MayNotSignError(reason)
        text = " ".join(review.split())
        if not SHORTEST_REVIEW <= len(text) <= LONGEST_REVIEW:
            raise InputError(
                f"Expected a review of {SHORTEST_REVIEW} to {LONGEST_REVIEW} characters, found {len(text)}: say what "
                f"the cause was, what was done, and what prevents it from now on."
            )
        person = self._person(login)
        closing = {
            "format": incidents.FORMAT,
            "incident": incident,
            "model": model,
            "person": person.id,
            "role": self._roles(person, model)[0],
            "review": text,
            "people": people.digest,
            "closed_at": datetime.now(UTC).isoformat(),
        }
        data = {"closing": closing, "signature": signer.sign(closing, incidents.PURPOSE)}
        key = f"{incidents.CLOSED}:{incident}"
        self.desk.ledger.append(incidents.CLOSED, model, data, actor=person.id, key=key)
        return next(one for one in self.incidents(model) if one.id == incident)

    def may_not_close(self, login: str, incident: Incident) -> str:
        """Say why a person may not close an incident; nothing where the person may."""
        person = self.desk.people().by_login(login)
        if person is None:
            return "You are not in people.yaml: you may read, not close."
        if not self._roles(person, incident.model):
            titles = [self.desk.people().role_title(role) for role in self.desk.policy(incident.model).approvals.roles]
            return f"{' or '.join(titles)} closes incidents of this model."
        if person.id in (incident.opened_by, *incident.acted):
            return "You acted in this incident: somebody else reviews it."
        if person.login in find_spec(self.desk.settings, incident.model).developers:
            return "You trained this model: somebody else reviews its incidents."
        return ""

    def may_not_stop(self, login: str, model: str) -> str:
        """Say why a person may not stop a model; nothing where the person may."""
        person, roles = self.desk.people().by_login(login), self.desk.policy(model).may_stop
        if person is not None and set(person.roles) & set(roles):
            return ""
        titles = [self.desk.people().role_title(role) for role in roles]
        return f"{' or '.join(titles)} may stop this model." if titles else "The tier lets nobody stop it on this page."

    def stopper(self, login: str, model: str) -> Person:
        """Return the person who stops a model.

        Raises:
            MayNotSignError: The person may not.
        """
        if reason := self.may_not_stop(login, model):
            raise MayNotSignError(reason)
        return self._person(login)

    def _roles(self, person: Person, model: str) -> list[str]:
        return [role for role in self.desk.policy(model).approvals.roles if role in person.roles]

    def _person(self, login: str) -> Person:
        person = self.desk.people().by_login(login)
        if person is None:
            raise MayNotSignError(f"You are not in people.yaml: you may read only. Your login is {login}.")
        return person
