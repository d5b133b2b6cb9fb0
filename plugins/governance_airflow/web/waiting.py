"""What waits for a person beside releases, as rows of the Inbox: emergencies first, then what can wait."""

from fastapi import Request

from governance.review.break_glass import PROPOSED
from governance.review.break_glass_desk import BreakGlassDesk
from governance.review.desk import ReviewDesk
from governance.review.incident_desk import IncidentDesk
from governance.review.standing_approval_desk import StandingApprovalDesk
from governance.review.waiver_desk import WaiverDesk
from governance_airflow.web import (
    break_glass_page,
    incidents_page,
    services,
    standing_approval_page,
    waivers_page,
)

Row = dict[str, str]


def rows(request: Request, desk: ReviewDesk, login: str, root: str) -> list[Row]:
    """Return one row for each thing; every page counts them beside its link to the Inbox.

    Args:
        request: The request, with the services behind it.
        desk: The review desk.
        login: For whom.
        root: The path of the application.
    """
    return [
        *_emergencies(request, desk, login, root),
        *incidents_page.waiting(IncidentDesk(desk), login, root),
        *waivers_page.waiting(WaiverDesk(desk), login, root),
        *standing_approval_page.waiting(StandingApprovalDesk(desk), login, root),
    ]


def _emergencies(request: Request, desk: ReviewDesk, login: str, root: str) -> list[Row]:
    """Return the emergency releases that a person may sign as the next."""
    glass, found = BreakGlassDesk(desk), []
    for model in {entry.subject for entry in desk.ledger.find(PROPOSED)}:
        for one in (one for one in desk.latest(model) if one.status == "pending"):
            actors = services.of(request).actors(model, one.run_id)
            found += break_glass_page.waiting(glass, one, login, actors, root)
    return found
