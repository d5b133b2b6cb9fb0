from pathlib import Path

import pytest

from stack.layout import PORTS, Layout

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A stack that was never started, over the real checkout."""
    return Layout(ROOT, tmp_path, {name: 20_000 + number for number, name in enumerate(PORTS)})
