"""The commands on the prediction log: ``verify`` and ``labels``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.catalog import find_spec
from governance.commands.answer import NO, YES, Answer, line
from governance.commands.records import expect_known, open_ledger
from governance.errors import RefusedError, UnavailableError
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.predictions.database import Database, Told
    from governance.predictions.labels import Item

SECONDS = 60
"""How long the scoring service may take for a part of the labels."""


def verify(settings: Settings, model: str | None) -> Answer:
    """Answer whether the predictions are those that were logged."""
    from governance.predictions.verify import verify_segments

    ledger = open_ledger(settings)
    if model is not None:
        expect_known(settings, ledger, model)
    report = verify_segments(settings.require("ledger_url"), ledger, model)

    def show(out: "Console") -> None:
        for fault in report.faults:
            line(out, str(fault))
        state = "whole" if report.whole else f"not whole: {len(report.faults)} inconsistencies"
        style = "bold green" if report.whole else "bold red"
        out.print(f"Predictions: {report.segments:,} segments of {report.rows:,} rows, {state}.", style=style)
        for count, what in (
            (report.in_flight, "segments are not in the ledger yet"),
            (report.retired, "segments were let go by retention"),
            (report.lost, "rows were lost before they were written; the ledger holds the count"),
        ):
            if count:
                line(out, f"{count:,} {what}.")

    return Answer(report.to_dict(), show, YES if report.whole else NO)


def labels(settings: Settings, model: str, source: str) -> Answer:
    """Take labels from a file or a source, checked against the model's folder.

    An identity that may not write to the log (that of a person's terminal) has the scoring service do it.
    """
    from governance.data.sources import read_source
    from governance.predictions.database import Database
    from governance.predictions.labels import Expected, from_frame, write

    spec = find_spec(settings, model)
    items = from_frame(read_source(source, Path()), Expected.of(spec))
    database = Database(settings.require("ledger_url"))
    try:
        told = write(database, model, source, items) if _may_write(database) else _sent(settings, model, items)
    finally:
        database.close()
    document = {"model": model, "source": source, **told.to_dict()}
    return Answer(document, lambda out: _show(out, model, told))


def _may_write(database: "Database") -> bool:
    try:
        return database.may_write_labels()
    except RefusedError:  # a login that may not even look
        return False


def _sent(settings: Settings, model: str, items: "Sequence[Item]") -> "Told":
    import httpx

    from governance.predictions.database import Told
    from governance.predictions.labels import AT_ONCE
    from governance.predictions.senders import own_token
    from governance.release.scoring import Replicas

    url, told = f"{Replicas(settings.require('serving_url')).all[0].url}/labels", Told(0, 0, 0)
    headers = {"Authorization": f"Bearer {own_token(Path(settings.require('label_tokens')))}"}
    with httpx.Client(timeout=SECONDS, trust_env=False, headers=headers) as client:
        for start in range(0, len(items), AT_ONCE):
            told += _posted(client, url, {"model": model, "labels": list(items[start : start + AT_ONCE])})
    return told


def _posted(client: Any, url: str, body: dict[str, Any]) -> "Told":
    import httpx

    from governance.predictions.database import Told

    try:
        answer = client.post(url, json=body)
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise UnavailableError(
            f"Expected the scoring service at {url} to take labels, found {type(error).__name__}. Start it, or run "
            f"this as the pipeline; sending the same labels again is harmless."
        ) from error
    if answer.status_code >= 500:
        raise UnavailableError(str(document.get("message")))
    if not answer.is_success:
        raise RefusedError(f"The scoring service refused these labels: {document.get('message')}")
    return Told(document["accepted"], document["unchanged"], document["unknown"])


def _show(out: "Console", model: str, told: "Told") -> None:
    out.print(f"{model}: {told.accepted:,} accepted, {told.unchanged:,} unchanged.", style="bold green")
    if told.unknown:
        line(out, f"{told.unknown:,} of requests that are not in the log (yet): kept, and count once they are.")
