"""What can go wrong, as a tree.

Every message answers four questions: what was expected, what was found, where, and what to do.
The class decides the exit code of the command line: bad input and unreachable services are 1, a *no* is 2,
*not decided* is 3.

    GovernanceError
    ├── InputError            what a person wrote cannot be used: file, line, remedy
    ├── UnavailableError      a service does not answer: nothing was recorded
    ├── RefusedError          the answer is no
    │   ├── TamperedError     bytes are not those that were recorded or signed
    │   ├── NotPermittedError no valid permit
    │   └── MayNotSignError   this person may not take this decision
    └── UndecidedError        waiting for people, or not enough data
"""

import errno


class GovernanceError(Exception):
    """Base of everything this package raises on purpose."""

    exit_code = 1


class InputError(GovernanceError):
    """What a person wrote, or a file that was given, cannot be used."""


class UnavailableError(GovernanceError):
    """A service does not answer; nothing was recorded."""


class RefusedError(GovernanceError):
    """The answer is no."""

    exit_code = 2


class TamperedError(RefusedError):
    """Bytes are not those that were recorded or signed."""


class NotPermittedError(RefusedError):
    """There is no valid permit for what was asked."""


class MayNotSignError(RefusedError):
    """This person may not take this decision."""


class UndecidedError(GovernanceError):
    """Nobody has decided yet, or there is not enough data to decide."""

    exit_code = 3


FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where a disk, or what may be used of it, is full."""


def no_room(error: BaseException) -> UnavailableError | None:
    """Return what to tell of a full disk; ``None`` of any other error."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    where = f" at {error.filename}" if error.filename else ""
    return UnavailableError(
        f"Expected room to write{where}, found a full disk ({error.strerror}). Nothing was recorded: make room (the "
        f"state folder, snapshots, temporary files: GOVERNANCE_STATE, GOVERNANCE_SNAPSHOTS, TMPDIR) and try again."
    )
