"""Which tests are of the integration stage, and which of them one process of xdist runs together."""

from pathlib import Path
from typing import Any

import pytest

SHARED = {"elsewhere"}
"""Folders whose files share a server that takes long to start: one process of xdist runs all of it."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.integration)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process of ``--dist loadfile`` whole files, and whole folders of those that share a server."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByServer(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = Path(nodeid.partition("::")[0]).parent
            return str(folder) if folder.name in SHARED else str(super()._split_scope(nodeid))

    return ByServer(config, log)
