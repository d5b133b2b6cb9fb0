"""Rules that are code: what they see, what they may not do, and that no failure of theirs is an answer."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance import policy as policies
from governance import yamlfile
from governance.canonical import digest_of_bytes
from governance.catalog import ModelSpec, spec_from_bytes
from governance.policy import Policy, Slices, judge
from governance.policyfile import PolicyFile, TierFile
from governance.records import Measurement, Outcome
from governance.rules.evaluate import evaluate_code_rules, parse_rego
from governance.settings import ROOT
from tests.unit.review import signed_world

HIGH = ROOT / "include" / "policies" / "high.yaml"
SPEC: ModelSpec = spec_from_bytes(signed_world.SPEC.encode())
MEASURED = [
    Measurement("performance.accuracy", 0.9, 1000, low=0.88, high=0.92),
    Measurement("drift.largest_ks", None, 0, reason="not applicable: no champion: nothing was released."),
]

REGO = """\
package governance

default decision := {"outcome": "block", "reason": "accuracy was not measured, or is below 0.8"}

decision := {"outcome": "pass", "reason": sprintf("accuracy of %s is fine", [input.spec.name])} if {
  some measured in input.measurements
  measured.name == "performance.accuracy"
  measured.value > 0.8
}
"""


def policy_with(folder: Path, rule: dict[str, Any], *, tier: bool = False) -> Policy:
    text = yaml.safe_load(HIGH.read_text())
    own = {"model": "card", "version": "1.0.0", "extends": "high", "rules": {} if tier else {"own": rule}}
    text["rules"] = {"own": rule} if tier else {"accuracy": {"measure": "performance.accuracy", "at_least": 0.5}}
    bodies = [(folder / "card" / "policy.yaml", PolicyFile, own), (folder / "policies" / "high.yaml", TierFile, text)]
    return policies.combine(
        *(yamlfile.read(path, shape, yaml.safe_dump(said).encode()) for path, shape, said in bodies)
    )


def ask(folder: Path, rule: dict[str, Any], source: str, **more: Any) -> Measurement:
    name = str(rule.get("rego") or rule["python"].partition(":")[0])
    file = folder / ("policies" if more.get("tier") else "card") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    (answer,) = evaluate_code_rules(policy_with(folder, rule, **more), SPEC, MEASURED)
    return answer


def python(folder: Path, body: str, **rule: Any) -> Measurement:
    return ask(folder, {"python": "rules.py:own", **rule}, f"def own(given):\n    {body}\n")


def test_a_rego_rule_sees_measurements_and_spec_and_answers(tmp_path: Path) -> None:
    answer = ask(tmp_path, {"rego": "rules/own.rego"}, REGO)

    assert (answer.name, answer.value, answer.reason) == ("rule.own", 1.0, "accuracy of card is fine")
    assert answer.method == f"rego {digest_of_bytes(REGO.encode())}"
    assert answer.n == len(MEASURED)


def test_a_tiers_rego_lies_beside_the_tiers_file(tmp_path: Path) -> None:
    assert ask(tmp_path, {"rego": "rules/own.rego"}, REGO, tier=True).value == 1.0


def test_a_python_rule_sees_the_same(tmp_path: Path) -> None:
    body = "return {'outcome': 'warn', 'reason': ' '.join(sorted(given)) + ' of ' + given['spec']['name']}"
    answer = python(tmp_path, body)

    assert (answer.value, answer.reason) == (0.5, "measurements spec of card")


def test_a_rule_for_another_task_is_not_run(tmp_path: Path) -> None:
    rule = {"python": "rules.py:own", "tasks": ["regression"]}

    assert evaluate_code_rules(policy_with(tmp_path, rule), SPEC, MEASURED) == []


def test_what_was_not_measured_has_no_value_that_a_limit_could_pass(tmp_path: Path) -> None:
    source = """\
package governance
decision := {"outcome": "pass", "reason": "drift is small"} if {
  some measured in input.measurements
  measured.name == "drift.largest_ks"
  measured.value < 0.2
}
"""
    assert ask(tmp_path, {"rego": "own.rego"}, source).value is None


FAILURES = {
    "raises": ("raise ValueError('no')", "ValueError: no"),
    "hangs": ("\n    while True: pass", "it took longer than 0.5 s"),
    "exits": ("raise SystemExit(0)", "SystemExit: 0"),
    "ends the process": ("import os; os._exit(0)", "it ended without one"),
    "kills itself": ("import os, signal; signal.raise_signal(signal.SIGKILL)", "it was ended by signal 9"),
    "eats memory": ("return {'outcome': 'pass', 'reason': 'x' * (1 << 31)}", "it needs more than 1 GB"),
    "another outcome": ("return {'outcome': 'fine', 'reason': 'x'}", "expected pass, warn or block, found 'fine'"),
    "no reason": ("return {'outcome': 'pass', 'reason': ' '}", "expected a reason in words, found ' '"),
    "a word": ("return 'pass'", "expected outcome and reason, found pass"),
    "more than was asked": ("return {'outcome': 'pass', 'reason': 'x', 'and': 1}", "expected outcome and reason"),
    "nothing": ("pass", "expected outcome and reason, found None"),
    "no text": ("return {'outcome': True, 'reason': 'x'}", "expected pass, warn or block, found 'True'"),
    "network": ("import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError"),
    "forks": ("import os; os.fork(); return {'outcome': 'pass', 'reason': 'x'}", "PermissionError"),
    "reads a file": ("open('/etc/passwd').read()", "PermissionError"),
    "reads by another way": ("import os; os.open('/etc/passwd', os.O_RDONLY)", "PermissionError"),
    "imports what is not of the language": ("import numpy", "Operation not permitted"),
    "another program": ("import subprocess; subprocess.run(['true'])", "PermissionError"),
    "writes a file": ("open('here', 'w').write('x')", "PermissionError"),
    "takes for granted": ("return {'outcome': 'pass', 'reason': str(given['measurements'][0]['value'])}",
        "KeyError",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "told"), FAILURES.values(), ids=FAILURES)
def test_no_failure_is_an_answer(tmp_path: Path, body: str, told: str) -> None:
    answer = python(tmp_path, body, seconds=0.5 if "while" in body else 5)
    policy = policy_with(tmp_path, {"python": "rules.py:own"})
    verdict = judge(policy, Slices.of(SPEC), [*MEASURED, answer], provenance=False)

    assert answer.value is None
    assert told in str(answer.reason)
    assert verdict.outcome is Outcome.BLOCK
    assert any(rule.rule == "own" and rule.stops and told in rule.reason for rule in verdict.rules)


def test_a_rule_that_switches_the_clock_off_is_ended_from_outside(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("governance.rules.evaluate.START_SECONDS", 2.0)
    began = time.monotonic()
    body = "import signal; signal.setitimer(signal.ITIMER_REAL, 0); signal.pause()"

    assert "it took longer than 0.5 s" in str(python(tmp_path, body, seconds=0.5).reason)
    assert time.monotonic() - began < 30


def test_a_rule_gets_none_of_our_environment(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://secret")
    answer = python(tmp_path, "import os; return {'outcome': 'warn', 'reason': ' '.join(sorted(os.environ))}")

    assert answer.reason == "HOME LANG PATH TMPDIR"


def test_what_it_prints_goes_nowhere(tmp_path: Path, capfd) -> None:
    body = "print('x' * 1000); import os; os.write(1, b'{}'); return {'outcome': 'pass', 'reason': 'quiet'}"

    assert python(tmp_path, body).reason == "quiet"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("package governance\ndecision := {", "line 2: this is unclosed"),
        ("package governance\nallow := true", "undefined"),
        ("package other\ndecision := 1", "undefined"),
        ('package governance\ndecision := "pass"', "expected outcome and reason"),
        ("package governance\ndecision := opa.runtime().env", "expected outcome and reason"),
    ],
)
def test_rego_that_gives_no_decision_gives_no_answer(tmp_path: Path, source: str, told: str) -> None:
    answer = ask(tmp_path, {"rego": "own.rego"}, source)

    assert answer.value is None
    assert told in str(answer.reason)


@pytest.mark.parametrize("body", [None, b"\xff\xfe", b"x" * ((1 << 20) + 1)], ids=["none", "no text", "too large"])
def test_a_file_that_cannot_be_read_gives_no_answer(tmp_path: Path, body: bytes | None) -> None:
    (tmp_path / "card").mkdir()
    if body is not None:
        (tmp_path / "card" / "own.rego").write_bytes(body)
    (answer,) = evaluate_code_rules(policy_with(tmp_path, {"rego": "own.rego"}), SPEC, MEASURED)

    assert answer.value is None
    assert "own.rego" in str(answer.reason)


def test_parsing_finds_what_could_never_answer(tmp_path: Path) -> None:
    file = tmp_path / "own.rego"
    said = {}
    for name, source in {
        "right": REGO,
        "unclosed": "package governance\n\ndecision := {",
        "package": "package other\ndecision := 1",
        "decision": "package governance\nallow := true",
    }.items():
        file.write_text(source)
        said[name] = parse_rego(file, 5.0)

    assert said["right"] is None
    assert said["unclosed"] == "line 3: this is unclosed"
    assert "package governance" in str(said["package"])
    assert "decision" in str(said["decision"])


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.mkdir(tmp_path / "temporary")
    python(tmp_path, "open('here', 'w'); return {'outcome': 'pass', 'reason': 'done'}")

    assert list((tmp_path / "temporary").iterdir()) == []
