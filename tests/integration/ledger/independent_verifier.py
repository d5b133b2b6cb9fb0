"""A second verifier, written from the description alone: it shares no code with the first one.

It answers one question, is the ledger whole, and says for each row what it dislikes. Only the standard library,
the database driver and rfc8785.
"""

import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta

import psycopg
import rfc8785

QUERY = "SELECT seq, body, leaf, chain, kind, subject, actor, key, at, writer FROM ledger.entry ORDER BY seq, ctid"
NAMES = ["actor", "at", "data", "key", "kind", "log", "subject", "v", "writer"]
WRITERS = {
    "run": "pipeline", "snapshot": "pipeline", "validation": "pipeline", "candidate": "pipeline",
    "measured": "pipeline", "alternatives": "pipeline", "evidence": "pipeline", "rejected": "pipeline",
    "expired": "pipeline", "release": "pipeline", "revert": "pipeline", "message": "pipeline or review",
    "decision": "review", "permit": "review", "revocation": "review", "erased": "review",
    "waiver": "review", "waiver_signature": "review", "finding_closed": "review", "incident_closed": "review",
    "operation": "pipeline", "rollback": "pipeline", "no_rollback": "pipeline", "resume": "pipeline",
    "stop": "pipeline or review", "incident": "pipeline or review",
    "served": "serving", "refused": "serving", "predictions": "serving", "checkpoint": "witness",
    "window": "pipeline", "watched": "pipeline", "monitoring": "pipeline", "report": "pipeline",
    "let_go": "pipeline", "rows_erased": "pipeline",
}  # fmt: skip


def complaints(dsn: str) -> dict[int, list[str]]:
    """Return what is wrong, by row; empty for a whole ledger."""
    found: dict[int, list[str]] = {}
    with psycopg.connect(dsn) as connection:
        origin = connection.execute("SELECT name FROM ledger.origin").fetchone()[0]
        number, chain, keys, latest = 0, b"\0" * 32, set(), datetime.min.replace(tzinfo=UTC)
        for row in connection.execute(QUERY):
            number += 1
            wrong = list(_wrong(row, number, chain, keys, origin))
            if row[8] + timedelta(seconds=120) < latest:
                wrong.append("time runs back")
            if wrong:
                found[row[0]] = wrong
            number, chain = row[0], row[3]
            latest = max(latest, row[8])
            keys.add(row[7])
    return found


def _wrong(row, number, before, keys, origin):
    seq, body, leaf, chain, kind, subject, actor, key, at, writer = row
    if seq != number:
        yield f"number {seq} instead of {number}"
    if hashlib.sha256(b"\0" + body).digest() != leaf:
        yield "leaf"
    if hashlib.sha256(b"governance-ledger-chain-v1\0" + struct.pack(">Q", seq) + before + leaf).digest() != chain:
        yield "chain"
    if key in keys:
        yield "key twice"
    try:
        pairs = json.loads(body.decode(), object_pairs_hook=list)
    except ValueError:
        yield "not JSON"
        return
    if rfc8785.dumps(json.loads(body)) != body:
        yield "not canonical"
    entry = dict(pairs) if isinstance(pairs, list) and all(isinstance(pair, tuple) for pair in pairs) else {}
    if [name for name, _ in pairs] != NAMES or entry["v"] != 1 or entry["log"] != origin:
        yield "not an entry of this ledger"
        return
    if [entry[name] for name in ("kind", "subject", "actor", "key", "writer")] != [kind, subject, actor, key, writer]:
        yield "columns differ from the body"
    if f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" != entry["at"]:
        yield "time differs from the body"
    if writer not in WRITERS.get(kind, "").split(" or "):
        yield "written by another"
