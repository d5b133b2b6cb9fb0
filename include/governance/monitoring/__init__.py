"""Watching what serves: a window of production, what was measured of it, what is decided, and the record of that.

``decision`` decides, and knows neither database nor server. Its neighbours bring it what it asks for: ``collect`` the
rows, ``facts`` the measurements, ``standing`` what happened before; ``decide`` records it; ``report`` has a
second opinion. A ``watch`` is one window.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

STEPS = {
    "collect": "collect:collect",
    "measure": "facts:measure",
    "decide": "decide:decide_window",
    "report": "report:report",
}
"""Step, as ``monitor_<model>`` names it → module and function."""


def step(name: str) -> Callable[..., Any]:
    """Return a step's function; only its own module is imported, for a task pays for what it imports."""
    module, function = STEPS[name].split(":")
    found: Callable[..., Any] = getattr(import_module(f"governance.monitoring.{module}"), function)
    return found
