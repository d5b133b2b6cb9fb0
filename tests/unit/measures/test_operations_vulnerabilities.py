"""Which advisories of a folder affect a locked environment, and what is no answer."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from governance.errors import InputError
from governance.measures.operations_vulnerabilities import (
    Pin,
    affected,
    measure_vulnerabilities,
    read_lock,
)
from governance.settings import ROOT

MODIFIED = "2026-01-01T00:00:00Z"


def advisory(id_="PYSEC-2026-1", name="jinja2", *, events=None, versions=None, **changed):
    """An advisory of the OSV schema on one package."""
    part = {"package": {"ecosystem": "PyPI", "name": name}}
    if events is not None:
        part["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    if versions is not None:
        part["versions"] = versions
    return {"id": id_, "modified": MODIFIED, "affected": [part], **changed}


def is_affected(version, **parts):
    return bool(affected([Pin("jinja2", version)], [advisory(**parts)]))


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("jinja2==3.1.2 \\\n    --hash=sha256:aa\n    # via flask\nNumPy==2.0.0\n")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "advisories"
    path.mkdir()
    return path


def write(folder, *documents):
    for document in documents:
        (folder / f"{document['id']}.json").write_text(json.dumps(document))


def measure(lock, folder):
    return {
        (each.name.removeprefix("operations."), *each.slice.values()): each
        for each in measure_vulnerabilities(lock, folder)
    }


# --- which versions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}], ["0.0.1a1", "0a1", "0", "99"], []),
        ([{"introduced": "0"}, {"fixed": "3.1.3"}], ["3.1.2", "3.1.3rc1", "3.1.2.post1"], ["3.1.3", "3.1.10"]),
        ([{"introduced": "2.0"}, {"fixed": "3.0"}], ["2", "2.0.0", "2.9"], ["1.9", "2.0rc1", "3.0.0", "3"]),
        ([{"introduced": "2.0"}, {"last_affected": "2.5"}], ["2.5", "2.5.0", "2.5+local"], ["2.5.1", "2.5.post1"]),
        ([{"fixed": "3.0"}, {"introduced": "2.0"}], ["2.5"], ["3.5"]),
        (
            [{"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.5"}],
            ["1.2", "2.2"],
            ["0.9", "1.7", "2.5"],
        ),
        ([{"introduced": "1.0"}, {"limit": "2.0"}], ["1.5"], ["2.0", "2.5"]),
        ([{"introduced": "1.0"}, {"limit": "*"}], ["1.5", "9"], ["0.5"]),
        ([{"introduced": "1!1.0"}], ["1!1.1"], ["2026.1"]),
    ],
    ids=lambda events: (
        " ".join(f"{k}:{v}" for each in events for k, v in each.items())
        if isinstance(events, list) and events and isinstance(events[0], dict)
        else None
    ),
)
def test_a_range_holds_what_came_after_its_beginning_and_before_its_end(events, inside, outside):
    assert [version for version in inside if not is_affected(version, events=events)] == []
    assert [version for version in outside if is_affected(version, events=events)] == []


releases = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))


@given(releases, st.lists(releases, min_size=2, max_size=6, unique_by=Version), st.booleans())
def test_ranges_are_those_that_pips_own_specifiers_describe(version, bounds, last):
    bounds = sorted(bounds, key=Version)
    pairs = list(zip(bounds[::2], bounds[1::2], strict=False))
    end, sign = ("last_affected", "<=") if last else ("fixed", "<")
    events = [event for low, high in pairs for event in ({"introduced": low}, {end: high})]

    expected = any(SpecifierSet(f">={low},{sign}{high}").contains(version) for low, high in pairs)

    assert is_affected(version, events=events) == expected


@pytest.mark.parametrize(("version", "expected"), [("3.1.2", True), ("3.1.2.0", True), ("3.1.3", False)])
def test_versions_that_are_listed_are_affected_whatever_the_ranges_say(version, expected):
    events = [{"introduced": "9"}]

    assert is_affected(version, versions=["3.1.2", "0.1dev-r1"], events=events) == expected


def test_ranges_of_commits_say_nothing_of_versions():
    document = advisory(versions=["1.0"])
    document["affected"][0]["ranges"] = [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]

    assert affected([Pin("jinja2", "1.0")], [document])
    assert not affected([Pin("jinja2", "2.0")], [document])


@pytest.mark.parametrize(
    "changed",
    [{"withdrawn": MODIFIED}, {"affected": [{"package": {"ecosystem": "npm", "name": "jinja2"}, "versions": ["1.0"]}]}],
    ids=["withdrawn", "of another ecosystem"],
)
def test_what_was_withdrawn_or_is_of_another_ecosystem_does_not_count(changed):
    assert not affected([Pin("jinja2", "1.0")], [advisory(versions=["1.0"], **changed)])


def test_names_are_compared_as_pip_does():
    document = advisory(name="Ruamel_YAML.clib", versions=["1.0"])

    assert affected([Pin("ruamel-yaml-clib", "1.0")], [document])


def test_one_vulnerability_under_several_names_is_counted_once():
    documents = [
        advisory("GHSA-aa", versions=["1.0"], aliases=["CVE-2026-7"]),
        advisory("CVE-2026-9", versions=["1.0"]),
        advisory("PYSEC-2026-3", versions=["1.0"], aliases=["CVE-2026-7"]),
        advisory("GHSA-bb", versions=["1.0"], aliases=["CVE-2026-9", "CVE-2026-10"]),
        advisory("GHSA-cc", versions=["1.0"], aliases=["GHSA-aa"]),
    ]

    found = affected([Pin("jinja2", "1.0")], documents)

    assert found == {Pin("jinja2", "1.0"): ["GHSA-bb", "PYSEC-2026-3"]}


# --- what is measured ------------------------------------------------------------------------------------------------


def test_vulnerabilities_are_counted_and_named_by_package(lock, folder):
    write(
        folder,
        advisory("PYSEC-2026-1", "Jinja2", events=[{"introduced": "0"}, {"fixed": "3.1.3"}]),
        advisory("PYSEC-2026-2", "jinja2", events=[{"introduced": "0"}]),
        advisory("PYSEC-2026-3", "numpy", events=[{"introduced": "0"}, {"fixed": "2.0.0"}]),
        advisory("PYSEC-2026-4", "other", events=[{"introduced": "0"}]),
    )

    found = measure(lock, folder)

    assert (found["known_vulnerabilities",].value, found["known_vulnerabilities",].n) == (2, 2)
    assert found["package_vulnerabilities", "jinja2 3.1.2: PYSEC-2026-1, PYSEC-2026-2"].value == 2
    assert len(found) == 2


def test_an_environment_without_known_vulnerabilities_has_none(lock, folder):
    write(folder, advisory(name="other", events=[{"introduced": "0"}]))

    (found,) = measure_vulnerabilities(lock, folder)

    assert (found.value, found.n, found.reason) == (0, 2, None)


def test_without_a_database_it_is_not_applicable(lock):
    (found,) = measure_vulnerabilities(lock, None)

    assert found.value is None
    assert found.reason.startswith("not applicable: no vulnerability database: ")


def test_the_yaml_of_the_packaging_authority_is_read_with_versions_as_text(lock, folder):
    lock.write_text("jinja2==1.10\nnumpy==1.1\n")
    (folder / "vulns" / "jinja2").mkdir(parents=True)
    (folder / ".github").mkdir()
    (folder / ".github" / "ci.yml").write_text("on: push")
    text = yaml.safe_dump(advisory(versions=["1.10"])).replace("'1.10'", "1.10")
    assert "- 1.10\n" in text
    (folder / "vulns" / "jinja2" / "PYSEC-2026-1.yaml").write_text(text + "withdrawn: null\naliases: null\n")

    found = measure(lock, folder)

    assert list(found)[1] == ("package_vulnerabilities", "jinja2 1.10: PYSEC-2026-1")
    assert found["known_vulnerabilities",].value == 1


def test_withdrawn_yaml_does_not_count(lock, folder):
    (folder / "one.yaml").write_text(yaml.safe_dump(advisory(events=[{"introduced": "0"}], withdrawn=MODIFIED)))

    assert measure(lock, folder)["known_vulnerabilities",].value == 0


BROKEN = {
    "cut off": ("one.json", json.dumps(advisory())[:-20]),
    "empty": ("one.json", ""),
    "no advisory": ("one.json", "[]"),
    "without id": ("one.json", json.dumps({"modified": MODIFIED})),
    "yaml that is none": ("one.yaml", "id: [\n"),
    "empty yaml": ("one.yaml", ""),
    "affected is no list": ("one.json", json.dumps(advisory(affected="jinja2"))),
    "without a name": ("one.json", json.dumps(advisory(affected=[{"package": {"ecosystem": "PyPI"}}]))),
    "without a beginning": ("one.json", json.dumps(advisory(events=[{"fixed": "1.0"}]))),
    "a version beyond comparison": ("one.json", json.dumps(advisory(events=[{"introduced": "one"}]))),
    "range without type": (
        "one.json",
        json.dumps(advisory(affected=[{"package": {"ecosystem": "PyPI", "name": "jinja2"}, "ranges": [{}]}])),
    ),
}


@pytest.mark.parametrize(("name", "text"), BROKEN.values(), ids=BROKEN)
def test_an_advisory_that_cannot_be_read_leaves_no_number(lock, folder, name, text):
    write(folder, advisory("PYSEC-2026-7", "other"))
    (folder / name).write_text(text)

    (found,) = measure_vulnerabilities(lock, folder)

    assert found.value is None
    assert found.reason.startswith("Expected ")
    assert not found.reason.startswith("not applicable")


def test_bytes_that_are_no_text_leave_no_number(lock, folder):
    (folder / "one.json").write_bytes(b"\xff\xfe")

    assert measure(lock, folder)["known_vulnerabilities",].value is None


@pytest.mark.parametrize("there", [True, False], ids=["empty", "absent"])
def test_a_folder_without_advisories_leaves_no_number(lock, folder, there):
    (found,) = measure_vulnerabilities(lock, folder if there else folder / "absent")

    assert found.value is None
    assert "found none" in found.reason


# --- the lock --------------------------------------------------------------------------------------------------------


def test_pins_are_read_with_hashes_extras_comments_options_and_markers(lock):
    lock.write_text(
        "--index-url https://example.org/simple\n-i https://example.org\n\n# a comment\n"
        "Foo.Bar[extra1,extra2]==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\n"
        'here==2.0 ; python_version >= "3"  # why\n'
        'elsewhere==3.0 ; sys_platform == "win32" and python_version < "2"\n'
        "local===4.0+cpu --hash=sha256:cc\n"
    )

    assert read_lock(lock) == [Pin("foo-bar", "1.0"), Pin("here", "2.0"), Pin("local", "4.0+cpu")]


@pytest.mark.parametrize(
    "line",
    ["jinja2>=3", "jinja2", "jinja2==3.*", "jinja2==1.0,==2.0", "jinja2==1.0,<2",
     "jinja2 @ https://example.org/x.whl", "-r more.txt", "-rmore.txt",
     "-e .", "--requirement more.txt", "./wheel.whl", "jinja2==one"],
)  # fmt: skip
def test_a_lock_that_does_not_say_which_version_leaves_no_number(lock, folder, line):
    write(folder, advisory(name="other"))
    lock.write_text(f"numpy==2.0.0\n{line}\n")

    (found,) = measure_vulnerabilities(lock, folder)

    assert found.value is None
    assert found.reason.startswith("Expected ")


@pytest.mark.parametrize("text", ["", "# nothing\n", None], ids=["empty", "comments", "absent"])
def test_a_lock_of_nothing_leaves_no_number(lock, folder, text):
    write(folder, advisory(name="other"))
    lock.unlink() if text is None else lock.write_text(text)

    (found,) = measure_vulnerabilities(lock, folder)

    assert found.value is None


def test_our_own_lock_is_read():
    pins = {pin.name: pin.version for pin in read_lock(ROOT / "requirements.txt")}

    assert len(pins) > 100
    assert pins["scikit-learn"] == "1.9.1"


def test_an_advisory_on_another_package_need_not_be_evaluable():
    assert affected([Pin("numpy", "1.0")], [advisory(events=[{"introduced": "one"}])]) == {}
    with pytest.raises(InputError, match="PYSEC-2026-1 on jinja2, found 'one'"):
        affected([Pin("jinja2", "1.0")], [advisory(events=[{"introduced": "one"}])])
