"""The other side: a fresh process that runs one rule and ends.

Started as a plain script; it imports nothing of ours. The request lies in the file that is its standard input, the
answer goes to the file that is its standard output. Before the rule is touched, the process gives away what it does
not need: the clock is set, files and memory are limited (the other side watches the memory, too), and where the kernel
knows how (Linux on x86-64 and ARM64) sockets, new processes and files are refused from then on, by root, too. So a
Python rule sees what it is given and nothing else; the modules of the standard library that it imports are imported
before, and no others can be.

Not guaranteed: the last of this on other systems, where a rule can read the files that the pipeline's user can read.
"""

import ast
import base64
import contextlib
import ctypes
import importlib
import json
import math
import os
import pkgutil
import platform
import re
import resource
import signal
import sys
import time
import types
from typing import Any

Json = Any

NUMERIC = ("numpy", "pandas", "scipy")
"""What a drift measure may import besides the standard library."""
LEARNED = (*NUMERIC, "sklearn", "onnxruntime", "PIL")
"""What an embedding may import."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
MOST_NUMBERS = 100
MOST_EMBEDDINGS, WIDEST = 5, 1024

LARGEST_FILE = 1 << 16
LARGEST_MATRICES = 1 << 26
"""Bytes that embeddings may have, all together."""
MEMORY = 1 << 30
OUTCOMES = ("pass", "warn", "block")

NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001
KERNELS = {
    # audit architecture; socket, connect, clone, fork, vfork, execve, ptrace, process_vm_readv, execveat, io_uring, …
    "x86_64": (0xC000003E, (41, 42, 44, 49, 56, 57, 58, 59, 62, 101, 310, 311, 322, 425, 435)),
    "aarch64": (0xC00000B7, (117, 129, 198, 200, 203, 206, 220, 221, 270, 271, 281, 425, 435)),
}
FILES = {
    # open, creat, openat, open_by_handle_at, openat2
    "x86_64": (2, 85, 257, 304, 437),
    "aarch64": (56, 265, 437),
}
X32 = 0x40000000
"""Numbers from here on are the same calls under another name, on x86-64."""


class Instruction(ctypes.Structure):
    """One instruction of the kernel's filter (``struct sock_filter``)."""

    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class Program(ctypes.Structure):
    """The filter (``struct sock_fprog``)."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))


def main() -> None:
    """Answer the one request."""
    request = json.loads(sys.stdin.buffer.read())
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    run, kind = prepared(request), request["kind"]
    largest = LARGEST_MATRICES + LARGEST_FILE if kind == "embedding" else LARGEST_FILE
    enclose(float(request["seconds"]), largest, files=kind != "rego")
    behind: list[bytes] = []
    try:
        answer = matrices(run(), request["rows"], behind) if kind == "embedding" else CHECKS[kind](run())
    except MemoryError:
        answer = {"fault": f"it needs more than {MEMORY >> 30} GB"}
    except BaseException as error:  # whatever a rule does: its answer is one document
        answer = {"fault": in_words(error, request["source"])}
    os.write(answers, json.dumps(answer).encode()[:LARGEST_FILE])
    for part in behind:
        os.write(answers, part)
    os._exit(0)


def prepared(request: Json) -> Any:
    """Return what runs the rule; loads the interpreter, which needs threads, before they are refused."""
    if request["kind"] == "python":
        import_what_it_names(request["source"])
        return lambda: of_python(request, request["input"])
    if request["kind"] == "drift":
        frames = [frame(columns) for columns in request["input"]]
        import_what_comes_late()
        import_what_it_names(request["source"], NUMERIC)
        return lambda: of_python(request, *frames)
    if request["kind"] == "embedding":
        table = frame(request["input"])
        beside = {name: base64.b64decode(body) for name, body in request["files"].items()}
        import_what_comes_late()
        import_what_it_names(request["source"], LEARNED)
        if "PIL.Image" in sys.modules:
            sys.modules["PIL.Image"].preinit()  # the readers of the usual kinds of picture
        return lambda: of_python(request, table, beside)
    import regopy

    interpreter = regopy.Interpreter()
    interpreter.strict_built_in_errors = True
    return lambda: of_rego(interpreter, request)


def frame(columns: Json) -> Any:
    """Return a table: name → kind and values."""
    import pandas

    made = {
        name: pandas.to_datetime(pandas.Series(values, dtype=object), utc=True, format="ISO8601")
        if kind == "time"
        else pandas.Series(values, dtype="float64" if kind == "number" else object)
        for name, (kind, values) in columns.items()
    }
    return pandas.DataFrame(made)


def import_what_comes_late() -> None:
    """Import the parts of pandas and numpy that they import at their first use only: later, no file can be opened."""
    import zipfile  # noqa: F401  # by which numpy reads .npz

    "".encode("cp437")  # and the letters of names in it
    import numpy
    import pandas.core

    for name in dir(numpy):
        with contextlib.suppress(AttributeError):
            getattr(numpy, name)
    for part in pkgutil.walk_packages(pandas.core.__path__, "pandas.core.", onerror=lambda _: None):
        with contextlib.suppress(ImportError):
            importlib.import_module(part.name)


def import_what_it_names(source: str, libraries: tuple[str, ...] = ()) -> None:
    """Import the modules of the standard library and of ``libraries`` that a rule names, while files can be opened."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return  # told when it is run
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.partition(".")[0] in (*sys.stdlib_module_names, *libraries):
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)


def enclose(seconds: float, largest: int, *, files: bool) -> None:
    """Give away what a rule does not need; ``files``: opening any, too. ``largest``: bytes of its answer."""
    signal.setitimer(signal.ITIMER_REAL, seconds)  # the signal ends the process: nothing here catches it
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, reserved() + MEMORY),
        (resource.RLIMIT_CPU, int(time.process_time() + seconds) + 1),  # what was imported is not its own time
        (resource.RLIMIT_FSIZE, largest),
        (resource.RLIMIT_NPROC, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
    refuse_by_the_kernel(files)


def reserved() -> int:
    """Return how much address space is taken already; the Rego interpreter reserves some, and never fills it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def refuse_by_the_kernel(files: bool) -> None:
    """Have the kernel refuse sockets and new processes from here on, and files where asked, where it can."""
    known = KERNELS.get(platform.machine())
    if known is None or not sys.platform.startswith("linux"):
        return
    architecture, refused = known
    steps = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE), (LOAD, 0, 0, 0)]
    steps += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)]
    for number in (*refused, *(FILES[platform.machine()] if files else ())):
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    steps.append((RETURN, 0, 0, ALLOW))
    instructions = (Instruction * len(steps))(*(Instruction(*step) for step in steps))
    program = Program(len(steps), instructions)
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.prctl(SECCOMP, FILTER, ctypes.byref(program), 0, 0)


def of_python(request: Json, *known: Any) -> Json:
    """Run the file, and call its function with what is known."""
    module = types.ModuleType("rule")
    module.__file__ = request["name"]
    exec(compile(request["source"], request["name"], "exec"), module.__dict__)
    return getattr(module, request["function"])(*known)


def of_rego(interpreter: Any, request: Json) -> Json:
    """Ask ``data.governance.decision``; only parse where there is no input."""
    interpreter.add_module(request["name"], request["source"])
    if request["input"] is None:
        interpreter.query("data.governance.decision")
        return {"outcome": "pass", "reason": "It parses."}
    interpreter.set_input(request["input"])
    said = str(interpreter.query("data.governance.decision")).strip()
    if said == "undefined":
        raise ValueError("data.governance.decision is undefined for these measurements")
    expressions = json.loads(said)["expressions"]
    if len(expressions) != 1:
        raise ValueError(f"one decision was expected, found {len(expressions)}")
    return expressions[0]


def in_words(error: BaseException, source: str) -> str:
    """Return what went wrong; where Rego says it, with the line."""
    text = str(error)
    if type(error).__name__ != "RegoError":
        return f"{type(error).__name__}: {text}"
    said, place = re.search(r"\(errormsg \d+:([^\n]*)\)", text), re.search(r"\|(\d+)\|", text)
    line = source.encode()[: int(place[1])].count(b"\n") + 1 if place else 1
    return f"line {line}: {said[1]}" if said else text


def checked(answer: Json) -> Json:
    """Return a well-formed answer as it is, anything else as a fault."""
    if not isinstance(answer, dict) or set(answer) != {"outcome", "reason"}:
        return {"fault": f"expected outcome and reason, found {str(answer)[:200]}"}
    outcome, reason = answer["outcome"], answer["reason"]
    if type(outcome) is not str or outcome not in OUTCOMES:
        return {"fault": f"expected pass, warn or block, found {str(outcome)[:200]!r}"}
    if type(reason) is not str or not reason.strip():
        return {"fault": f"expected a reason in words, found {str(reason)[:200]!r}"}
    return {"outcome": outcome, "reason": reason[:2000]}


def numbers(answer: Json) -> Json:
    """Return well-formed numbers by name, each with or without an interval, anything else as a fault."""
    if not isinstance(answer, dict) or not 1 <= len(answer) <= MOST_NUMBERS:
        return {"fault": f"expected 1 to {MOST_NUMBERS} numbers by name, found {str(answer)[:200]}"}
    found = {}
    for name, given in answer.items():
        if type(name) is not str or not NAME.fullmatch(name):
            return {"fault": f"expected a name of small letters, digits and _, found {str(name)[:100]!r}"}
        parts = list(given) if isinstance(given, (tuple, list)) else [given]
        try:
            told = [float(part) for part in parts if not isinstance(part, (str, bytes))]
        except (TypeError, ValueError):
            told = []
        ordered = len(told) == 1 or (len(told) == 3 and told[1] <= told[0] <= told[2])
        if len(told) != len(parts) or not ordered or not all(map(math.isfinite, told)):
            return {"fault": f"{name}: expected a number, or (value, low, high) around it, found {str(given)[:100]}"}
        found[name] = told
    return {"numbers": found}


def matrices(answer: Json, rows: int, behind: list[bytes]) -> Json:
    """Return the shapes of well-formed embeddings by name, anything else as a fault.

    Args:
        answer: What the function returned.
        rows: How many each must have.
        behind: Is given what follows the document: a line's end, and the numbers as float32, little-endian, in rows.
    """
    import numpy

    if not isinstance(answer, dict) or not 1 <= len(answer) <= MOST_EMBEDDINGS:
        return {"fault": f"expected 1 to {MOST_EMBEDDINGS} embeddings by name, found {str(answer)[:100]}"}
    shapes: dict[str, list[int]] = {}
    found = [b"\n"]
    for name, given in answer.items():
        if type(name) is not str or not 0 < len(name) <= 100:
            return {"fault": f"expected a name of 1 to 100 letters, found {str(name)[:100]!r}"}
        plain = given.toarray() if hasattr(given, "toarray") else given
        matrix = numpy.ascontiguousarray(plain, dtype="<f4")
        if matrix.ndim != 2 or len(matrix) != rows or not 1 <= matrix.shape[1] <= WIDEST:
            return {"fault": f"{name}: expected {rows} rows of 1 to {WIDEST} numbers, found shape {matrix.shape}"}
        if not numpy.isfinite(matrix).all():
            return {"fault": f"{name}: expected finite numbers, found one that is missing or infinite"}
        shapes[name] = list(matrix.shape)
        found.append(matrix.tobytes())
    if sum(map(len, found)) > LARGEST_MATRICES:
        return {"fault": f"expected at most {LARGEST_MATRICES >> 20} MB of numbers, found {sum(map(len, found)) >> 20}"}
    behind += found
    return {"shapes": shapes}


CHECKS = {"python": checked, "rego": checked, "drift": numbers}
"""What an answer must look like, by the kind of what is run."""

if __name__ == "__main__":
    main()
