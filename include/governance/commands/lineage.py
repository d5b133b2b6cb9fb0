"""The commands on lineage: ``deliver``."""

import contextlib
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from governance.commands.answer import NO, YES, Answer, line
from governance.errors import RefusedError, UnavailableError
from governance.lineage.delivery import Delivery, Outcome
from governance.lineage.keep import Keeper
from governance.lineage.marquez import Marquez
from governance.lineage.outbox import Outbox, Turn
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]

OTHERS_TURN_SECONDS = 60.0
"""How long a delivery by hand looks on while another process delivers."""


def deliver(settings: Settings, *, follow: bool, everything: bool) -> Answer:
    """Answer what came of delivering the outbox to Marquez; with ``follow``, once it is stopped.

    Raises:
        InputError: There is no Marquez, or no outbox, to speak of.
        UnavailableError: Something waits that could not be delivered.
    """
    url, outbox = settings.require("marquez_url"), Outbox(settings.require("ledger_url"))
    turn, delivery = Turn(settings.require("ledger_url")), Delivery(outbox, lambda: Marquez(url))
    keeper = Keeper.of(settings)
    try:
        if everything:
            outbox.redeliver()
        outcome = _follow(delivery, turn, keeper) if follow else _once(delivery, turn, keeper, outbox)
        return _told(outcome, outbox, url, follow=follow)
    finally:
        delivery.close()
        turn.close()
        outbox.close()
        keeper.outbox.close()


def _once(delivery: Delivery, turn: Turn, keeper: Keeper, outbox: Outbox) -> Outcome:
    _collect(keeper)
    deadline = time.monotonic() + OTHERS_TURN_SECONDS
    while not turn.is_ours():
        if not outbox.counts().waiting:
            return Outcome()
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Expected the process that delivers lineage to be done within {OTHERS_TURN_SECONDS:.0f} s, found "
                f"{outbox.counts().waiting:,} events waiting. Look into its log: Marquez may be away."
            )
        time.sleep(0.5)  # bounded above; another process does this very work
    return delivery.drain()


def _follow(delivery: Delivery, turn: Turn, keeper: Keeper) -> Outcome:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def ready() -> bool:
        _collect(keeper)
        return turn.is_ours()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: delivery.stop())
    return delivery.follow(ready)


def _collect(keeper: Keeper) -> None:
    """Bring what waits on this machine's disk into the outbox, where this identity may; others leave it to one."""
    with contextlib.suppress(RefusedError):
        keeper.collect()


def _told(outcome: Outcome, outbox: Outbox, url: str, *, follow: bool) -> Answer:
    counts = outbox.counts()
    stuck = outcome.away or next(iter(outcome.failed.values()), None)
    if stuck and counts.waiting and not follow:
        raise UnavailableError(f"{outcome.delivered:,} events were delivered, {counts.waiting:,} wait. {stuck}")
    document: Json = {
        "marquez": url,
        "delivered": outcome.delivered,
        "refused": [{"number": number, "reason": why} for number, why in sorted(outcome.refused.items())],
        "waiting": counts.waiting,
        "kept": counts.kept,
        "set_aside": counts.refused,
    }

    def show(out: "Console") -> None:
        out.print(f"{outcome.delivered:,} events delivered to {url}, {counts.waiting:,} wait.", style="bold")
        for number, why in sorted(outcome.refused.items()):
            line(out, f"Set aside, for Marquez will never take it: event {number}: {why}")
        if counts.refused and not outcome.refused:
            line(out, f"{counts.refused:,} were set aside before.")

    return Answer(document, show, NO if outcome.refused else YES)
