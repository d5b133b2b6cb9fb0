"""Running the rules of a policy that are code, and recording what they answered.

A rule sees the measurements and the spec and nothing else, has a time limit, and answers ``pass``, ``warn`` or
``block`` with a reason. Whatever else comes of it (an exception, too long, no reason) is on record as no answer, and
:func:`governance.policy.judge` blocks on it. A measurement without a value has no key ``value`` here: in Rego, ``null``
is less than every number, so a limit would pass what was never measured.

Not guaranteed: that the same rule says the same twice. It is asked once, and people sign what it said.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from governance import canonical
from governance.catalog import ModelSpec
from governance.policy import ANSWERS, Code, Policy, Rule
from governance.records import Measurement

Json = dict[str, Any]

CHILD = Path(__file__).with_name("child.py")
START_SECONDS = 30.0
"""How long the process may take besides the rule's own time, which it watches itself, before it is ended from here."""
LOOK_SECONDS = 0.05
"""How often its memory is looked at."""
MEMORY = 1 << 30
LARGEST_ANSWER = 1 << 16
LARGEST_SOURCE = 1 << 20
NUMBERS = {str(outcome): number for number, outcome in ANSWERS.items()}


def evaluate_code_rules(policy: Policy, spec: ModelSpec, measurements: Iterable[Measurement]) -> list[Measurement]:
    """Run every rule that is code and speaks of the model's task.

    Args:
        policy: What is demanded.
        spec: The model's.
        measurements: All that was measured.

    Returns:
        One measurement ``rule.<id>`` for each: 1 for pass, 0.5 for warn, 0 for block; ``reason`` is the rule's own,
        ``method`` names the language and the SHA-256 of the file, ``n`` counts the measurements that it saw. Without
        an answer there is no value.
    """
    rules = [rule for rule in policy.rules_of(spec.task) if rule.code]
    if not rules:
        return []
    seen = [_shown(one) for one in sorted(measurements, key=lambda one: one.key)]
    given = {"measurements": seen, "spec": spec.model_dump(mode="json")}
    return [_answer(rule, rule.code, given, len(seen)) for rule in rules if rule.code]


def parse_rego(file: Path, seconds: float) -> str | None:
    """Say what is wrong with a Rego file, without asking it anything; ``None`` where nothing is."""
    source, fault = source_of(file)
    if fault:
        return fault
    if not re.search(r"^\s*package\s+governance\s*$", source, re.MULTILINE):
        return "expected `package governance`, found another package or none"
    if not re.search(r"^\s*(default\s+)?decision\b", source, re.MULTILINE):
        return "expected a rule `decision`, found none"
    return _run(Code("rego", file, None, seconds), source, None).get("fault")


def _shown(measurement: Measurement) -> Json:
    document = measurement.to_dict()
    return {name: value for name, value in document.items() if value is not None}


def _answer(rule: Rule, code: Code, given: Json, seen: int) -> Measurement:
    source, fault = source_of(code.file)
    method = f"{code.kind} {canonical.digest_of_bytes(source.encode())}" if not fault else code.kind
    said = {"fault": fault} if fault else _run(code, source, given)
    if said.get("fault"):
        return Measurement(rule.measure, None, seen, method=method, reason=one_line(said["fault"]))
    return Measurement(rule.measure, NUMBERS[said["outcome"]], seen, method=method, reason=one_line(said["reason"]))


def source_of(file: Path) -> tuple[str, str | None]:
    """Return the text of a rule's file, and what is wrong with it."""
    try:
        body = file.read_bytes()
        if len(body) > LARGEST_SOURCE:
            return "", f"{file.name} is larger than {LARGEST_SOURCE >> 20} MB"
        return body.decode(), None
    except OSError as error:
        return "", f"{file.name} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "", f"{file.name} is not UTF-8 text"


def _run(code: Code, source: str, given: Json | None) -> Json:
    request = {
        "kind": code.kind,
        "name": code.file.name,
        "function": code.function,
        "seconds": code.seconds,
        "source": source,
        "input": given,
    }
    return run_apart(request, _is_decision)


def _is_decision(said: Json) -> bool:
    return said.keys() == {"outcome", "reason"} and said["outcome"] in NUMBERS


def run_apart(request: Json, is_fine: Callable[[Json], bool]) -> Json:
    """Have :mod:`governance.rules.child` answer a request, in a process without secrets and with limits.

    Args:
        request: ``kind``, ``name`` of the file, ``function``, ``seconds``, ``source``, ``input``.
        is_fine: Whether an answer is one.

    Returns:
        What was answered, or ``fault`` and why there is no answer.
    """
    return run_apart_for_bytes(request, is_fine, 0)[0]


def run_apart_for_bytes(request: Json, is_fine: Callable[[Json], bool], most: int) -> tuple[Json, bytes]:
    """Have a request answered as :func:`run_apart` does, by a document and what follows on its line.

    Args:
        request: As there.
        is_fine: Whether a document is one.
        most: Bytes that may follow.
    """
    with (
        tempfile.TemporaryDirectory(prefix="governance-rule-") as private,
        tempfile.TemporaryFile() as asks,
        tempfile.TemporaryFile() as answers,
    ):
        asks.write(json.dumps(request).encode())
        asks.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(CHILD)],
            stdin=asks,
            stdout=answers,
            stderr=subprocess.DEVNULL,
            cwd=private,
            env={"LANG": "C.UTF-8", "HOME": private, "TMPDIR": private, "PATH": os.defpath},
            start_new_session=True,
        )
        ended = _wait(process, request["seconds"] + START_SECONDS)
        answers.seek(0)
        document, _, behind = answers.read(LARGEST_ANSWER + most + 1).partition(b"\n")
        return _read(document, ended, request["seconds"], is_fine), behind


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | str:
    """Return how the process ended by itself, or why it was ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            why = "time" if time.monotonic() > deadline else "memory" if _resident(process.pid) > MEMORY else ""
        if why:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return why


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _read(body: bytes, ended: int | str, seconds: float, is_fine: Callable[[Json], bool]) -> Json:
    if ended == "memory":
        return {"fault": f"it needs more than {MEMORY >> 30} GB"}
    if ended == "time" or ended in (-signal.SIGALRM, -signal.SIGXCPU):
        return {"fault": f"it took longer than {seconds:g} s"}
    try:
        said = json.loads(body)
        if ended == 0 and isinstance(said, dict) and (isinstance(said.get("fault"), str) or is_fine(said)):
            return dict(said)
    except (ValueError, RecursionError, AttributeError, TypeError):
        pass
    killed = isinstance(ended, int) and ended < 0
    how = f"it was ended by signal {-int(ended)}" if killed else "it ended without one"
    return {"fault": how}


def one_line(text: str) -> str:
    """Return a text as one line that can be written down anywhere."""
    plain = " ".join(str(text).encode("utf-8", "replace").decode().split())
    return (plain if len(plain) <= 500 else f"{plain[:499]}…") or "no reason"
