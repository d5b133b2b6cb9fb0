"""The steps of ``govern_<model>``, one file each in the order of the DAG, and those of ``rollback_<model>`` in one.

A step takes a :class:`~governance.pipeline.run.Run`, does its work with the stages below, records the result in the
ledger under a key made of its inputs, and returns a :class:`~governance.pipeline.run.Step`: a small summary, what it
read and wrote, and whom to tell. A step that runs again on unchanged inputs returns what it recorded (§10.1). Steps
find what earlier steps did in the ledger, never in what Airflow hands them: an edited XCom changes nothing.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

STEPS = {
    "ingest": "ingest:ingest",
    "validate": "validate:validate",
    "train": "train:train",
    "measure": "measure:measure",
    "judge": "judge:judge_candidate",
    "apply_standing_approval": "standing:apply_standing_approval",
    "search_alternatives": "alternatives:search_alternatives",
    "release": "release:release",
    "announce": "announce:announce",
}
"""Step of ``govern_<model>``, as the DAG names it → module and function."""

ROLLBACK_STEPS = {
    "choose_target": "rollback:choose_target",
    "restore": "rollback:restore",
    "open_incident": "rollback:open_incident",
}
"""Step of ``rollback_<model>``, likewise; these take an :class:`~governance.pipeline.operation.Operation`."""

DRILL_STEPS = {"drill": "drill:drill"}
"""Step of ``drill_<model>``; it takes a run as :func:`governance.pipeline.drill.open_drill` opens it."""


def step(name: str) -> Callable[..., Any]:
    """Return a step's function; only its own module is imported, for a task pays for what it imports."""
    module, function = {**STEPS, **ROLLBACK_STEPS, **DRILL_STEPS}[name].split(":")
    found: Callable[..., Any] = getattr(import_module(f"governance.pipeline.{module}"), function)
    return found
