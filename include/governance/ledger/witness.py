"""The witness: remembers, outside of the database, how far the ledger was whole, and signs it.

What nothing inside a database can show (see :mod:`governance.ledger.verify`) shows beside a memory of one's own. The
witness verifies the whole ledger from its raw bodies, beginning with the last place that it remembers; if that place is
gone or changed, somebody rewrote or cut the ledger, and it signs nothing any more. If all is well it signs the new
head, writes it into a file of its own, and only then into the ledger, where everybody can read it.

Not guaranteed: anything about what was rewritten before the witness first looked, or between two of its looks and
within them; nor where whoever owns the database owns the witness's file, too. Keep that on another machine.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governance.errors import TamperedError
from governance.keys import PublicKeys, Signer
from governance.ledger.log import Ledger
from governance.ledger.verify import Anchor, Report, verify

KEY = "witness"
PURPOSE = "checkpoint"
SUBJECT = "ledger"
FILE = Path("witness", "checkpoints.jsonl")
"""Below the state folder."""


@dataclass(frozen=True)
class Checkpoint:
    """How far a ledger was whole.

    Attributes:
        origin: Which ledger.
        head: Number and chain hash of its last entry then.
        at: When, in UTC, ISO 8601.
    """

    origin: str
    head: Anchor
    at: str

    def to_dict(self) -> dict[str, Any]:
        """Return what is signed."""
        return {"origin": self.origin, "seq": self.head.seq, "chain": self.head.chain, "at": self.at}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Checkpoint":
        """Read what was signed."""
        return cls(document["origin"], Anchor(document["seq"], document["chain"]), document["at"])


def look(ledger: Ledger, signer: Signer, keys: PublicKeys, file: Path) -> tuple[Report, Checkpoint | None]:
    """Verify the ledger beside what is remembered; sign and remember its head if all is well and something is new.

    Args:
        ledger: Read and appended to with the witness's login.
        signer: The witness's key.
        keys: The public keys, with the witness's among them.
        file: What is remembered: one signed checkpoint a line; made if it is not there.

    Returns:
        What was found, and the new checkpoint; ``None`` where nothing is new or something is wrong.

    Raises:
        TamperedError: The file is not what the witness wrote, or belongs to another ledger.
        UnavailableError: The ledger does not answer. A checkpoint that was written to the file counts all the same.
    """
    known = last(file, keys)
    report = verify(ledger, known.head if known else None)
    if known and known.origin != report.origin:
        raise TamperedError(
            f"Expected the ledger {known.origin}, which {file} remembers, found {report.origin}. Was the database made "
            f"anew? Then move the file away, and say so in the record."
        )
    if report.whole:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # says when it last looked, also where nothing is new
    if not report.whole or report.head is None or (known and report.head.seq <= known.head.seq + 1):
        return report, None  # one more entry is our own checkpoint
    new = Checkpoint(report.origin, report.head, datetime.now(UTC).isoformat(timespec="seconds"))
    signed = {**new.to_dict(), "signature": signer.sign(new.to_dict(), PURPOSE)}
    _remember(file, signed)
    ledger.append("checkpoint", SUBJECT, signed, actor=KEY, key=f"checkpoint:{new.head.seq}")
    return report, new


def last(file: Path, keys: PublicKeys) -> Checkpoint | None:
    """Return the last checkpoint that is remembered; ``None`` where there is none yet.

    Raises:
        TamperedError: A line is not what the witness signed, or they do not follow each other.
    """
    if not file.exists():
        return None
    found: Checkpoint | None = None
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            document = json.loads(line)
            signature = document.pop("signature")
            read = Checkpoint.from_dict(document)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise TamperedError(
                f"Expected a signed checkpoint in line {number} of {file}, found another text."
            ) from None
        keys.verify(document, signature, PURPOSE, KEY)
        if found and (found.origin != read.origin or found.head.seq >= read.head.seq):
            raise TamperedError(f"Expected line {number} of {file} to go on from the one before, found an older one.")
        found = read
    return found


def _remember(file: Path, signed: Mapping[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(signed) + "\n")
        out.flush()
        os.fsync(out.fileno())
