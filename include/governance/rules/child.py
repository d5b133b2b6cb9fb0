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
import contextlib
import ctypes
import importlib
import json
import os
import platform
import re
import resource
import signal
import sys
import types
from typing import Any

Json = Any

LARGEST_FILE = 1 << 16
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
    run = prepared(request)
    enclose(float(request["seconds"]), files=request["kind"] == "python")
    try:
        answer = checked(run())
    except MemoryError:
        answer = {"fault": f"it needs more than {MEMORY >> 30} GB"}
    except BaseException as error:  # whatever a rule does: its answer is one document
        answer = {"fault": in_words(error, request["source"])}
    os.write(answers, json.dumps(answer).encode()[:LARGEST_FILE])
    os._exit(0)


def prepared(request: Json) -> Any:
    """Return what runs the rule; loads the interpreter, which needs threads, before they are refused."""
    if request["kind"] == "python":
        import_what_it_names(request["source"])
        return lambda: of_python(request)
    import regopy

    interpreter = regopy.Interpreter()
    interpreter.strict_built_in_errors = True
    return lambda: of_rego(interpreter, request)


def import_what_it_names(source: str) -> None:
    """Import the modules of the standard library that a rule names: later, their files cannot be opened."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return  # told when it is run
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            if name.partition(".")[0] in sys.stdlib_module_names:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)


def enclose(seconds: float, *, files: bool) -> None:
    """Give away what a rule does not need; ``files``: opening any, too."""
    signal.setitimer(signal.ITIMER_REAL, seconds)  # the signal ends the process: nothing here catches it
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, reserved() + MEMORY),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
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


def of_python(request: Json) -> Json:
    """Run the file, and call its function with what is known."""
    module = types.ModuleType("rule")
    module.__file__ = request["name"]
    exec(compile(request["source"], request["name"], "exec"), module.__dict__)
    return getattr(module, request["function"])(request["input"])


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


if __name__ == "__main__":
    main()
