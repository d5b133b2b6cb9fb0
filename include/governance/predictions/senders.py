"""Who may send labels to the scoring service: a file with one line for each sender, its name, its token and its models.

Labels move what the monitor decides, so nobody sends them unnamed. A sender proves itself with a token that it shares
with the scoring service (``GOVERNANCE_LABEL_TOKENS``); its name goes on record with each label::

    # name         token                                         models; all of them without any
    core-banking   wN0kq3xXv0aQd2n8YbS4mR7tLc5uJh1e              loan
    payroll        Zr8yT2bVn6pKq0sGd4fHj1lXc9wMe3uA              wage

The file is read anew each time, so that a sender can be added, or shut out, without a restart.

Not guaranteed: that a token is where it belongs. Whoever has one is that sender; give each source of labels its own.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path

from governance.errors import InputError

VARIABLE = "GOVERNANCE_LABEL_TOKENS"

SHORTEST = 20
"""Letters of a token; a shorter one can be guessed."""

HOW_TO_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Sender:
    """One source of labels.

    Attributes:
        name: What goes on record as the source.
        token: What it sends as ``Authorization: Bearer …``.
        models: Whose labels it may send; ``None``: those of every model.
    """

    name: str
    token: str = field(repr=False)
    models: frozenset[str] | None = None

    def may_send(self, model: str) -> bool:
        """Whether this sender may say what came true for a model."""
        return self.models is None or model in self.models


def read_senders(path: Path) -> tuple[Sender, ...]:
    """Return who may send labels.

    Raises:
        InputError: The file is not there, or a line is none that could be meant. The message holds no token.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected {VARIABLE} to name a file, found {type(error).__name__} for {path}.") from error
    told = [(number, line.split()) for number, line in enumerate(lines, 1)]
    senders = tuple(
        _sender(f"{path}, line {number}", words) for number, words in told if words and not words[0].startswith("#")
    )
    for what in ("name", "token"):
        values = [getattr(sender, what) for sender in senders]
        if len(set(values)) < len(values):
            raise InputError(f"Expected each {what} once in {path} ({VARIABLE}), found one twice. Give each its own.")
    return senders


def find_sender(senders: tuple[Sender, ...], token: str) -> Sender | None:
    """Return whose token this is.

    Every line is compared, and digests rather than tokens, so that the time it takes says nothing about any of them.
    """
    given, found = _digest(token), None
    for sender in senders:
        if hmac.compare_digest(given, _digest(sender.token)):
            found = sender
    return found


def own_token(path: Path) -> str:
    """Return the token of a process that sends labels: the only one in its file.

    Raises:
        InputError: The file holds none, or several.
    """
    senders = read_senders(path)
    if len(senders) != 1:
        raise InputError(f"Expected one sender in {path} ({VARIABLE}), your own, found {len(senders)}.")
    return senders[0].token


def _sender(where: str, words: list[str]) -> Sender:
    form = f"{where} ({VARIABLE})"
    if len(words) < 2 or not _NAME.fullmatch(words[0]):
        raise InputError(f"{form}: expected a name of 1 to 64 letters, digits or ._:-, then a token, then models.")
    name, token, *models = words
    if len(token) < SHORTEST:
        raise InputError(
            f"{form}: expected a token of at least {SHORTEST} letters for {name}, found {len(token)}. "
            f"Make one: {HOW_TO_MAKE}"
        )
    return Sender(name, token, frozenset(models) or None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
