"""Measure the ledger: durable appends per second with 64 writers, and entries verified per second.

    python bench/ledger.py DSN [--writers 64] [--seconds 10] [--entries 100000]

DSN is that of a superuser of a server to play with: a database ``ledger_bench`` is made there, and dropped at the end.
Writers are threads of this process, each with its own connection; the entries to verify are appended by the server
itself, in one transaction, through the same function.
"""

import argparse
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from governance.ledger.log import Ledger, install
from governance.ledger.verify import verify

DATA = {"digest": "0" * 64, "measurements": [{"name": "performance.accuracy", "value": 0.924, "n": 1989}] * 4}
FILL = """
DO $fill$ DECLARE origin text := (SELECT name FROM ledger.origin); BEGIN
FOR i IN 1..%d LOOP
    PERFORM ledger.append(convert_to('{"actor":"p-1","at":"'
        || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","data":{"digest":"' || repeat('0', 64) || '","text":"' || repeat('x', 300)
        || '"},"key":"fill-' || i || '","kind":"run","log":"' || origin
        || '","subject":"loan","v":1,"writer":"pipeline"}', 'UTF8'));
END LOOP; END $fill$
"""


def main() -> None:
    """Print the two rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn")
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--entries", type=int, default=100_000)
    given = parser.parse_args()
    with bench_database(given.dsn) as dsn:
        waits, seconds = appends(dsn, given.writers, given.seconds)
        quantiles = statistics.quantiles(waits, n=100)
        print(
            f"ledger: {len(waits) / seconds:,.0f} durable appends/s with {given.writers} writers "
            f"(p50 {quantiles[49] * 1000:.1f} ms, p99 {quantiles[98] * 1000:.1f} ms)"
        )
        fill(dsn, given.entries)
        started = time.monotonic()
        report = verify(Ledger(dsn), processes=os.cpu_count() or 1)
        seconds = time.monotonic() - started
        print(
            f"ledger: {report.entries / seconds:,.0f} entries verified/s "
            f"({report.entries:,} in {seconds:.1f} s, {'whole' if report.whole else 'NOT whole'})"
        )


@contextmanager
def bench_database(superuser: str) -> Iterator[str]:
    """Yield the pipeline's address of a new ledger."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS ledger_bench WITH (FORCE)")
        connection.execute("CREATE DATABASE ledger_bench TEMPLATE template0 ENCODING 'UTF8'")
        install(make_conninfo(superuser, dbname="ledger_bench"))
        try:
            yield make_conninfo(superuser, dbname="ledger_bench", user="pipeline")
        finally:
            connection.execute("DROP DATABASE ledger_bench WITH (FORCE)")


def appends(dsn: str, writers: int, seconds: float) -> tuple[list[float], float]:
    """Append from many threads; return how long each append took, and how long all of it."""
    waits: list[list[float]] = [[] for _ in range(writers)]
    ready = threading.Barrier(writers + 1)

    def write(number: int) -> None:
        ledger = Ledger(dsn)
        ledger.ping()
        ready.wait()
        end = time.monotonic() + seconds
        while (started := time.monotonic()) < end:
            ledger.append("run", "loan", DATA, actor="p-1", key=f"{writers}-{number}-{len(waits[number])}")
            waits[number].append(time.monotonic() - started)
        ledger.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    return [wait for some in waits for wait in some], time.monotonic() - started


def fill(dsn: str, entries: int) -> None:
    """Let the server append many entries."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(FILL % entries)


if __name__ == "__main__":
    main()
