"""The last day of an exception that people sign: read from what somebody wrote, and no later than the policy allows."""

from datetime import date, timedelta

from governance.errors import InputError


def last_day(text: str, today: date, longest_days: int, tier: str) -> date:
    """Return a last day.

    Args:
        text: As somebody wrote it, such as ``2026-03-31``.
        today: The first day that it may be.
        longest_days: How many days later it may be, by the policy.
        tier: Whose policy that is, for the message.

    Raises:
        InputError: It is no day, over, or too far away.
    """
    longest = today + timedelta(days=longest_days)
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"Expected a last day such as {longest}, found {text!r}.") from error
    if not today <= day <= longest:
        raise InputError(f"Expected a last day from {today} to {longest}, as tier {tier} allows, found {day}.")
    return day
