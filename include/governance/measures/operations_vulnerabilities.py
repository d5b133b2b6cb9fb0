"""Known vulnerabilities of the locked environment, from a folder of advisories on this machine: nothing is looked up.

The lock is a ``requirements.txt`` in which every package is pinned (``name==version``); pins whose marker does not hold
in this environment are left out. Advisories are documents of the OSV schema, in JSON (``osv.dev``'s export of PyPI,
GitHub's advisory database) or YAML (the Python Packaging Authority's ``advisory-database``), in any folders below.

Fail closed: a lock or an advisory that cannot be read, and a version of a locked package that cannot be compared, leave
no number. Not guaranteed: that the folder is complete or of today; a vulnerability that it does not list is not known.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.errors import InputError
from governance.records import Measurement

if TYPE_CHECKING:
    from packaging.version import Version

Json = Any

NO_DATABASE = "not applicable: no vulnerability database: "
"""How a reason begins that a policy may accept by name."""

ECOSYSTEM = "PyPI"
FORMATS = (".json", ".yaml", ".yml")
NESTED = re.compile(r"-[rce]|--(requirement|constraint|editable)\b")
COMMENT = re.compile(r"(^|\s)#.*$")
PREFERRED = ("PYSEC-", "GHSA-", "CVE-")
"""Which of its names a vulnerability is told by."""

BEFORE_ALL = {"0": "0.dev0"}
"""What an event of version 0 means: before every version, whatever its form."""

REMEDY = "Restore it, or remove the whole folder."


@dataclass(frozen=True)
class Pin:
    """One package of the lock: its normalised name, and its version as written."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.name} {self.version}"


def measure_vulnerabilities(lock: Path, advisories: Path | None) -> list[Measurement]:
    """Measure how many known vulnerabilities the locked environment has.

    Args:
        lock: A ``requirements.txt`` with a pin for every package.
        advisories: Folder of OSV documents; ``None`` where there is none.

    Returns:
        ``known_vulnerabilities``; and ``package_vulnerabilities`` of each package that has one, whose slice names the
        package, its version and the vulnerabilities. The first without a value and with a reason where there is no
        folder, or something in it or in the lock cannot be read.
    """
    if advisories is None:
        reason = f"{NO_DATABASE}no folder of advisories is set (GOVERNANCE_ADVISORIES)"
        return [Measurement("operations.known_vulnerabilities", None, 0, reason=reason)]
    try:
        pins = read_lock(lock)
        found = affected(pins, read_advisories(advisories))
    except InputError as error:
        return [Measurement("operations.known_vulnerabilities", None, 0, reason=str(error))]
    return [
        known_vulnerabilities(found, len(pins)),
        *(package_vulnerabilities(pin, names) for pin, names in sorted(found.items(), key=lambda item: str(item[0]))),
    ]


def known_vulnerabilities(found: Mapping[Pin, list[str]], pins: int) -> Measurement:
    """Number of known vulnerabilities of the packages in the lock.

    Formula: for each pinned package, advisories that list its version or have it in a range, those that were withdrawn
    left out, and those that name each other as aliases counted once; the sum. n is the number of packages.
    Source: counted, by the evaluation algorithm of the OSV schema 1.7 (ossf.github.io/osv-schema) with versions in the
    order of PEP 440.
    Ideal: 0.
    Limits: as complete and as old as the folder of advisories; says nothing of whether the code that is vulnerable is
    ever run, nor how severe it is.
    """
    number = sum(len(names) for names in found.values())
    return Measurement("operations.known_vulnerabilities", number, pins, method="counted")


def package_vulnerabilities(pin: Pin, names: list[str]) -> Measurement:
    """Number of known vulnerabilities of one package, which the slice names.

    Formula: as ``known_vulnerabilities``, of the packages that have any.
    Source: counted, as ``known_vulnerabilities``.
    Ideal: 0: the next version mostly is.
    Limits: as ``known_vulnerabilities``.
    """
    slice_ = {"package": f"{pin}: {', '.join(names)}"}
    return Measurement("operations.package_vulnerabilities", len(names), 1, slice_, method="counted")


# --- the lock --------------------------------------------------------------------------------------------------------


def read_lock(lock: Path) -> list[Pin]:
    """Return what a lock pins in this environment.

    Raises:
        InputError: It cannot be read, pins nothing, or has a line that is no pin.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected the locked environment at {lock}, found: {error}.") from error
    pins = [pin for line in _lines(text) if (pin := _pin(line, lock)) is not None]
    if not pins:
        raise InputError(f"Expected packages pinned with == in {lock}, found none. Lock the environment.")
    return pins


def _lines(text: str) -> Iterator[str]:
    """Yield lines with what continues them, without comments; pip's options for all packages are no packages."""
    for line in text.replace("\\\n", " ").splitlines():
        line = COMMENT.sub("", line).strip()
        if line and (not line.startswith("-") or NESTED.match(line)):
            yield line


def _pin(line: str, lock: Path) -> Pin | None:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        requirement = Requirement(line.partition(" --")[0])
    except InvalidRequirement as error:
        raise _no_pin(line, lock) from error
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    versions = [each for each in requirement.specifier if each.operator in ("==", "===")]
    if len(versions) != 1 or len(requirement.specifier) != 1 or versions[0].version.endswith("*"):
        raise _no_pin(line, lock)
    _version(versions[0].version, f"{requirement.name} in {lock}")
    return Pin(canonicalize_name(requirement.name), versions[0].version)


def _no_pin(line: str, lock: Path) -> InputError:
    return InputError(
        f"Expected one package pinned with == on each line of {lock}, found {line[:80]!r}: which version that is, and "
        f"so whether it is vulnerable, cannot be told. Lock the environment."
    )


# --- the advisories --------------------------------------------------------------------------------------------------


def read_advisories(folder: Path) -> Iterator[Json]:
    """Yield the OSV documents of a folder and of those below it.

    Raises:
        InputError: There is no such folder or no document in it, or one is no advisory.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in FORMATS and _is_visible(path, folder))
    if not paths:
        raise InputError(
            f"Expected advisories of the OSV schema ({', '.join(FORMATS)}) in {folder}, found none. Put an export "
            f"there, such as osv.dev's of PyPI, or name no folder."
        )
    for path in paths:
        yield _advisory(path)


def _is_visible(path: Path, folder: Path) -> bool:
    """Whether it is none of the files that a repository keeps about itself (.github)."""
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _advisory(path: Path) -> Json:
    try:
        text = path.read_bytes().decode("utf-8")
        document = json.loads(text) if path.suffix == ".json" else _from_yaml(text)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not JSON, not YAML, not UTF-8
        raise InputError(
            f"Expected an advisory of the OSV schema in {path}, found: {_line(error)}. {REMEDY}"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("id"), str) or "modified" not in document:
        raise InputError(
            f"Expected an advisory of the OSV schema in {path}, with id and modified; found none. {REMEDY}"
        )
    return document


def _from_yaml(text: str) -> Json:
    import yaml

    try:
        # This loader builds no objects and leaves everything text: 1.10 is a version and no number.
        return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def affected(pins: Iterable[Pin], advisories: Iterable[Json]) -> dict[Pin, list[str]]:
    """Return the names of the vulnerabilities that affect each pinned package; packages without one are left out.

    Raises:
        InputError: An advisory on one of these packages cannot be evaluated.
    """
    by_name: dict[str, list[Pin]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, []).append(pin)
    found: dict[Pin, list[set[str]]] = {}
    for advisory in advisories:
        for pin in _affected_by(advisory, by_name):
            _add(found.setdefault(pin, []), {advisory["id"], *_list(advisory, "aliases")})
    return {pin: sorted(_told(names) for names in vulnerabilities) for pin, vulnerabilities in found.items()}


def _affected_by(advisory: Json, by_name: Mapping[str, list[Pin]]) -> set[Pin]:
    from packaging.utils import canonicalize_name

    if str(advisory.get("withdrawn"))[:1].isdigit():  # a time, and neither null nor what YAML makes of it
        return set()
    found: set[Pin] = set()
    try:
        for part in _list(advisory, "affected"):
            package = part.get("package")
            if isinstance(package, dict) and package["ecosystem"] == ECOSYSTEM:
                pins = by_name.get(canonicalize_name(package["name"]), ())
                found |= {pin for pin in pins if _is_affected(pin, part, advisory["id"])}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected {advisory['id']} to say which packages it affects as the OSV schema does, found something "
            f"else: {_line(error)}. {REMEDY}"
        ) from error
    return found


def _is_affected(pin: Pin, part: Json, advisory: str) -> bool:
    version = _version(pin.version, str(pin))
    if any(_is(version, each) for each in _list(part, "versions")):
        return True
    ranges = [each for each in _list(part, "ranges") if each["type"] != "GIT"]
    return any(_is_within(version, _list(each, "events"), f"{advisory} on {pin.name}") for each in ranges)


def _list(document: Json, name: str) -> list[Any]:
    found = document.get(name)
    if found in (None, "", "null"):  # the last two are YAML's, where everything is text
        return []
    if not isinstance(found, list):
        raise TypeError(f"{name} is no list")
    return found


def _is(version: "Version", listed: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(Version(listed).public) == version
    except InvalidVersion:  # older than PEP 440, as the locked version is not
        return False


def _is_within(version: "Version", events: list[Mapping[str, str]], where: str) -> bool:
    """Return whether a version is in a range: it is after an event that began it, and none after that ended it."""
    named = [(kind, each) for event in events for kind, each in event.items()]
    limits = [_version(each, where) for kind, each in named if kind == "limit" and each != "*"]
    if not any(kind == "introduced" for kind, _ in named):
        raise InputError(f"Expected {where} to say since when (introduced), found nothing. {REMEDY}")
    if limits and not any(version < limit for limit in limits):
        return False
    bounds = [(_version(BEFORE_ALL.get(each, each), where), kind) for kind, each in named if kind != "limit"]
    inside = False
    for bound, kind in sorted(bounds, key=lambda item: item[0]):
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _version(text: str, where: str) -> "Version":
    """Return a version without what a builder added to it: 2.1+cpu is 2.1."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(Version(text).public)
    except InvalidVersion as error:
        raise InputError(f"Expected a version that can be compared for {where}, found {text!r}.") from error


def _add(known: list[set[str]], names: set[str]) -> None:
    """Add a vulnerability by all of its names, to those that it is the same as."""
    same = [each for each in known if each & names]
    for each in same:
        known.remove(each)
    known.append(names.union(*same))


def _told(names: set[str]) -> str:
    return min(names, key=lambda name: (not name.startswith(PREFERRED[0]), not name.startswith(PREFERRED[1]), name))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
