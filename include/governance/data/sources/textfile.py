"""CSV files: UTF-8, commas, a header that names every column, as many fields in a line as in the header.

The bytes are looked through once before they are parsed. That finds what is not UTF-8 with its byte, and a line or a
cell that is too long before anybody holds it in memory.

Not guaranteed: that a cell which is too long is found where a stray quote stands before it: the parser may then take
more memory than the limits say.
"""

import codecs
import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data.sources import files, limits
from governance.data.sources.files import File, PlainFaultError
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["", "NA", "NaN", "nan", "null", "NULL"]
"""What counts as missing in a text file. Everything else (``None``, ``N/A``, ``-``) is a value for the contract."""

CHUNK = 4 * 1024**2
MARKS = re.compile(rb'[",\r\n]')
LINE_FEED, CARRIAGE_RETURN, QUOTE, COMMA = b'\n\r",'


def read(name: str, folder: Path) -> "pd.DataFrame":
    """Read a CSV file."""
    return parse(files.find(name, folder))


def parse(file: File) -> "pd.DataFrame":
    """Parse the CSV in a file.

    Raises:
        InputError: It is no table: not UTF-8 (with the byte), ragged, unnamed or repeated columns, beyond a limit.
    """
    import pandas as pd

    with files.answering(file.where):
        _look_through(file)
        _check_header(file)
        limits.check_memory(file.size, file.where)
        try:
            with file.open() as stream:
                frame = pd.read_csv(
                    stream, encoding="utf-8-sig", keep_default_na=False, na_values=MISSING, float_precision="round_trip"
                )
        except (csv.Error, pd.errors.ParserError) as error:
            said = str(error).strip().removeprefix("Error tokenizing data. C error: ").rstrip(".")
            raise InputError(
                f"{file.where} is not a table: {said}. Every line needs as many fields as the header."
            ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise PlainFaultError(f"{file.where}: lines have more fields than the header. Name every column.")
    return frame


def check_unique(names: list[str], where: str) -> None:
    """Refuse a table in which two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(
            f"{where}: column {twice[0]!r} appears {names.count(twice[0])} times. Column names must differ."
        )


def _check_header(file: File) -> None:
    try:
        with io.TextIOWrapper(file.open(), encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(text), [])
    except csv.Error as error:
        raise InputError(
            f"{file.where} is not a table: {error}. Every line needs as many fields as the header."
        ) from error
    limits.check_columns(len(header), file.where)
    check_unique(header, file.where)
    if not header:
        raise PlainFaultError(f"{file.where}: expected a header with column names, found an empty line.")
    for position, name in enumerate(header, start=1):
        if not name.strip():
            raise PlainFaultError(
                f"{file.where}: column {position} has no name. Was an index written? Save with index=False."
            )


def _look_through(file: File) -> None:
    """Read the file once, a chunk at a time, for what is not UTF-8 and for lines and cells that are too long."""
    import numpy as np

    decoder = codecs.getincrementaldecoder("utf-8")()
    place, line, cell = 0, _Run(limits.MAX_LINE), _Run(limits.MAX_CELL)
    inside = False  # of quotes, if no quote is stray
    with file.open() as stream:
        while chunk := stream.read(CHUNK):
            _decode(decoder, chunk, place, file.where)
            found = np.frombuffer(chunk, dtype=np.uint8)
            ends = (found == LINE_FEED) | (found == CARRIAGE_RETURN)
            if line.exceeds(ends):
                raise PlainFaultError(
                    f"{file.where}: expected lines of at most {limits.MAX_LINE:,} bytes, found a longer one after byte "
                    f"{place + line.start:,}. Does the file have line ends?"
                )
            ends |= found == COMMA
            if inside or QUOTE in chunk:
                quoted = np.logical_xor.accumulate(found == QUOTE) ^ inside
                ends &= ~quoted
                inside = bool(quoted[-1])
            if cell is not None and cell.exceeds(ends):
                _measure_cells(file)
                cell = _Run(file.size)  # a stray quote misled us; exactly measured, every cell is short enough
            place += len(chunk)
    _decode(decoder, b"", place, file.where, final=True)


class _Run:
    """How long the longest stretch between two ends is, over chunks."""

    def __init__(self, limit: int) -> None:
        self.limit, self.carried, self.start = limit, 0, 0

    def exceeds(self, ends: Any) -> bool:
        """Take the next chunk, as a mask of ends; say whether a stretch is longer than the limit by now."""
        import numpy as np

        places = np.flatnonzero(ends)
        if not len(places):
            self.start = -self.carried
            self.carried += len(ends)
            return self.carried > self.limit
        gaps = np.diff(places, prepend=-1 - self.carried) - 1
        longest = int(gaps.argmax())
        before, self.carried = self.carried, len(ends) - 1 - int(places[-1])
        if gaps[longest] > self.limit:
            self.start = int(places[longest - 1]) + 1 if longest else -before
            return True
        self.start = int(places[-1]) + 1
        return self.carried > self.limit


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, place: int, where: str, *, final: bool = False) -> None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        byte = place - pending + error.start
        raise InputError(
            f"{where} is not UTF-8 (byte {byte}: 0x{error.object[error.start]:02x}). Save it as UTF-8."
        ) from error


def _measure_cells(file: File) -> None:
    """Follow the quotes as the parser does, which is slow; raise at the first cell that is too long."""
    with file.open() as stream:
        cells = _Cells(file.where)
        while chunk := stream.read(CHUNK):
            cells.take(chunk)


class _Cells:
    """Where cells begin and end: a quote opens a cell only at its beginning, and two of them are one inside it."""

    def __init__(self, where: str) -> None:
        self.where, self.place, self.begin, self.closed, self.quoted = where, 0, 0, -2, False

    def take(self, chunk: bytes) -> None:
        for mark in MARKS.finditer(chunk):
            self._mark(chunk[mark.start()], self.place + mark.start())
        self.place += len(chunk)
        self._check(self.place)

    def _mark(self, byte: int, here: int) -> None:
        if self.quoted:
            if byte == QUOTE:
                self.quoted, self.closed = False, here
        elif byte == QUOTE:
            self.quoted = here in (self.begin, self.closed + 1)
        else:
            self._check(here)
            self.begin, self.closed = here + 1, -2

    def _check(self, here: int) -> None:
        if here - self.begin > limits.MAX_CELL:
            raise limits.cell_too_long(f"{self.where} after byte {self.begin:,}")
