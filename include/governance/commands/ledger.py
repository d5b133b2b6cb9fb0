"""The commands on the ledger itself: ``verify``, ``witness``, ``show`` and ``export``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.commands.answer import NO, YES, Answer, line, table
from governance.commands.records import open_ledger
from governance.errors import InputError
from governance.ledger.log import Entry
from governance.ledger.verify import Anchor
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]

SHOWN = 20


def verify(settings: Settings, anchor: str | None) -> Answer:
    """Answer whether the record is whole."""
    from governance.ledger.verify import verify as verify_ledger

    report = verify_ledger(open_ledger(settings), _anchor(anchor))
    head = f"{report.head.seq}:{report.head.chain}" if report.head else None

    def show(out: "Console") -> None:
        for fault in report.faults:
            line(out, str(fault))
        state = "whole" if report.whole else f"not whole: {len(report.faults)} inconsistencies"
        style = "bold green" if report.whole else "bold red"
        out.print(f"Ledger {report.origin}: {report.entries:,} entries, {state}.", style=style)
        if head:
            line(out, f"Head {head}")
            out.print("Note it elsewhere: `governance ledger verify --anchor HEAD` then finds a rewritten end, too.")

    return Answer(report.to_dict(), show, YES if report.whole else NO)


def _anchor(text: str | None) -> Anchor | None:
    if text is None:
        return None
    number, _, chain = text.partition(":")
    if not number.isdecimal() or len(chain) != 64:
        raise InputError(
            f"Expected an anchor as NUMBER:CHAIN, as `governance ledger verify` prints it, found {text!r}."
        )
    return Anchor(int(number), chain)


def show(settings: Settings, kind: str | None, model: str | None, limit: int, seq: int | None) -> Answer:
    """Answer what is written: the last entries, or one in full.

    Raises:
        InputError: There is no such entry, or no entry of this kind whatever the model.
    """
    ledger = open_ledger(settings)
    if seq is not None:
        entries = [entry for entry in ledger.find(after=seq - 1, limit=1) if entry.seq == seq]
        if not entries:
            raise InputError(f"Expected an entry {seq} in the ledger, found none.")
        document = entry_document(entries[0])
        return Answer(document, lambda out: line(out, json.dumps(document, indent=2, ensure_ascii=False)))
    entries = ledger.find(kind, model, newest_first=True, limit=limit)[::-1]
    if kind is not None and not entries and kind not in (kinds := ledger.kinds()):
        raise InputError(f"Expected a kind that the ledger holds ({', '.join(kinds) or 'none yet'}), found {kind!r}.")
    return Answer({"entries": [entry_document(entry) for entry in entries]}, lambda out: _show_entries(out, entries))


def entry_document(entry: Entry) -> Json:
    """Return the JSON form of an entry."""
    names = ("seq", "kind", "subject", "actor", "key", "writer", "leaf", "chain")
    return {**{name: getattr(entry, name) for name in names}, "at": entry.at.isoformat(), "data": dict(entry.data)}


def _show_entries(out: "Console", entries: list[Entry]) -> None:
    if not entries:
        out.print("No entry.")
        return
    listed = table("entry", "at (UTC)", "kind", "model", "by", "leaf", numbers=("entry",))
    for entry in entries:
        at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        listed.add_row(str(entry.seq), at, entry.kind, entry.subject, entry.actor, entry.leaf[:12])
    out.print(listed)


def witness(settings: Settings) -> Answer:
    """Answer whether the record is whole beside what the witness remembers, and sign how far."""
    from governance.keys import PublicKeys, Signer
    from governance.ledger import witness as watching

    signer = Signer.from_file(Path(settings.require("witness_key")), watching.KEY)
    keys = PublicKeys.from_folder(settings.public_keys)
    report, new = watching.look(open_ledger(settings), signer, keys, settings.state / watching.FILE)
    document = {**report.to_dict(), "checkpoint": new and new.to_dict()}

    def show(out: "Console") -> None:
        for fault in report.faults:
            line(out, str(fault))
        if report.whole:
            line(out, f"Signed: whole up to entry {new.head.seq}." if new else "Whole; nothing is new.")
        else:
            out.print("Not whole, so nothing was signed. Call the auditors; change nothing.", style="bold red")

    return Answer(document, show, YES if report.whole else NO)


def export(settings: Settings, file: Path | None) -> Answer:
    """Answer with the whole record: one entry a line, in order, with the exact text that is hashed."""
    ledger = open_ledger(settings)
    entries = [
        {"seq": entry.seq, "body": entry.body.decode(), "leaf": entry.leaf, "chain": entry.chain}
        for entry in ledger.find()
    ]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    if file is None:
        document: Json = {"origin": ledger.origin, "entries": entries}
        return Answer(document, lambda out: line(out, "\n".join(lines)))
    file.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    written = {"origin": ledger.origin, "entries": len(entries), "file": str(file)}
    return Answer(written, lambda out: out.print(f"{len(entries):,} entries written to {file}."))
