"""Lists the licence of every installed distribution and refuses strong copyleft.

Weak copyleft (LGPL, MPL, EPL) is allowed: it binds changes to those packages, not the programs that import them.
What a package says about itself is read from its metadata; nobody checks that it is true.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from typing import Any

_STRONG = re.compile(
    r"\bA?GPL(?:v?-?\d|\b)|GNU (?:Affero )?General Public|\bSSPL\b|Server Side Public|\bEUPL\b|\bOSL-", re.IGNORECASE
)
_WEAK = re.compile(r"\bLGPL\S*|GNU (?:Library or )?Lesser General Public[^,;]*|\S+ with \S*exception\S*", re.IGNORECASE)

REVIEWED: Mapping[str, str] = {
    "huey": "MIT",  # the text in its LICENSE
    "openlineage_sql": "Apache-2.0",  # its repository's; the wheel carries none
    "skops": "MIT",  # the text in its LICENSE
}
"""Distribution → its licence, where its own metadata is wrong or silent and somebody has looked."""


def main() -> int:
    """Print the table; 1 if a strong-copyleft licence is among them."""
    found = {name_of(distribution): licence_of(distribution) for distribution in distributions()}
    for name, licence in sorted(found.items(), key=lambda item: item[0].lower()):
        print(f"{name:50} {licence}")
    refused = sorted(name for name, licence in found.items() if is_strong_copyleft(licence))
    unknown = sorted(name for name, licence in found.items() if not licence)
    print(f"\n{len(found)} distributions, {len(unknown)} without a stated licence: {', '.join(unknown) or 'none'}.")
    for name in refused:
        print(
            f"Strong copyleft: {name} ({found[name]}). Take something else, or say in REVIEWED why not.",
            file=sys.stderr,
        )
    return 1 if refused else 0


def name_of(distribution: Distribution) -> str:
    """Return a distribution's name."""
    return str(distribution.metadata["Name"])


def licence_of(distribution: Distribution) -> str:
    """Return what a distribution says its licence is: expression, else classifiers, else the first line of the text."""
    metadata: Any = distribution.metadata
    if name_of(distribution) in REVIEWED:
        return REVIEWED[name_of(distribution)]
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = metadata.get_all("Classifier") or []
    named = [entry.split(" :: ")[-1] for entry in classifiers if entry.startswith("License ::")]
    specific = [name for name in named if name != "OSI Approved"]
    return "; ".join(specific) or _first_line(metadata.get("License") or "")


def is_strong_copyleft(licence: str) -> bool:
    """Whether a licence would reach our own code, with no other one to choose."""
    return bool(licence) and all(map(_is_strong, _choices(licence)))


def _is_strong(licence: str) -> bool:
    return bool(_STRONG.search(_WEAK.sub("", licence)))


def _choices(licence: str) -> Iterable[str]:
    return re.split(r"\s+or\s+|;", licence, flags=re.IGNORECASE)


def _first_line(text: str) -> str:
    return next((line.strip()[:80] for line in text.splitlines() if line.strip()), "")


if __name__ == "__main__":
    sys.exit(main())
