"""What went wrong, as every route of the API says it."""

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong, for machines, for people, and who can instead."""

    error: str = Field(examples=["may_not_sign"])
    message: str
    who_can: list[str] = []


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Nobody is logged in."},
    403: {"model": Problem, "description": "This person may not."},
    404: {"model": Problem, "description": "There is no such thing."},
    503: {"model": Problem, "description": "A service does not answer; nothing was recorded."},
}
REFUSED: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "It is another than the one read, or is decided already."},
    422: {"model": Problem, "description": "Something is missing or wrong in the body."},
}
