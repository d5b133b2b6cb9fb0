"""Files that people write: every fault with its line, and nothing else ever escapes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from governance import canonical, yamlfile
from governance.yamlfile import Document, Fault, FaultyFileError, Strict

FILE = Path("shape.yaml")


class Inner(Strict):
    colour: str = "red"
    weight: int | float | None = Field(default=None, gt=0)


class Shape(Strict):
    name: str
    inner: Inner = Inner()
    parts: list[Inner] = Field(default_factory=list)
    by_name: dict[str, Inner] = Field(default_factory=dict)


def read(text: str | bytes) -> Document[Shape]:
    return yamlfile.read(FILE, Shape, text.encode() if isinstance(text, str) else text)


def faults_of(text: str | bytes) -> list[Fault]:
    with pytest.raises(FaultyFileError) as caught:
        read(text)
    return caught.value.faults


def test_a_right_file_is_read_with_its_bytes_and_their_digest() -> None:
    document = read("name: a\ninner: {colour: blue}\n")

    assert document.content == Shape(name="a", inner=Inner(colour="blue"))
    assert document.digest == canonical.digest_of_bytes(b"name: a\ninner: {colour: blue}\n")


def test_the_line_of_every_part_is_known_and_that_of_an_absent_part_is_the_nearest_around_it() -> None:
    document = read("name: a\nparts:\n  - colour: red\n  - colour: blue\nby_name:\n  x:\n    weight: 3\n")

    lines = [document.line(*path) for path in (("name",), ("parts", 1, "colour"), ("by_name", "x", "weight"))]
    assert lines == [1, 4, 7]
    assert document.line("by_name", "x", "colour") == 6
    assert document.line("inner") == 1


@pytest.mark.parametrize(
    ("text", "line", "found", "remedy"),
    [
        ("name: a\ninner:\n  color: red\n", 3, "Unknown key `inner.color`.", "Did you mean `colour`?"),
        ("name: a\nparts:\n  - {wieght: 3}\n", 3, "Unknown key `parts.0.wieght`.", "Did you mean `weight`?"),
        ("name: a\nby_name:\n  x: {wieght: 3}\n", 3, "Unknown key `by_name.x.wieght`.", "Did you mean `weight`?"),
        ("name: a\nzzz: 1\n", 2, "Unknown key `zzz`.", "Known keys here: by_name, inner, name, parts."),
        ("inner: {}\n", 1, "`name` is missing.", "Add it."),
        ("name: 3\n", 1, "`name` is 3.", "Expected text; in quotes where it looks like a number."),
        ("name: a\ninner: {weight: heavy}\n", 2, "`inner.weight` is 'heavy'.", "Expected a number."),
        ("name: a\ninner: {weight: '3'}\n", 2, "`inner.weight` is '3'.", "Expected a number."),
        ("name: a\ninner: {weight: -1}\n", 2, "`inner.weight` is -1.", "Expected greater than 0."),
        ("name: a\ninner: {weight: true}\n", 2, "`inner.weight` is True.", "Expected a number."),
        ("name: a\ninner: {weight: .nan}\n", 2, "`inner.weight` is nan.", "Expected a finite number."),
        ("name: a\ninner: {weight: .inf}\n", 2, "`inner.weight` is inf.", "Expected a finite number."),
        ("name: a\ninner: red\n", 2, "`inner` is 'red'.", "Expected keys and values: {a: b}."),
        ("name: a\nparts: {colour: red}\n", 2, "`parts` is {'colour': 'red'}.", "Expected a list: [a, b]."),
        ("name: a\nby_name:\n  1: {}\n", 2, "Key `1` is not text.", "Put it in quotes"),
        ("name: a\nname: b\n", 2, "the key 'name' is written twice", ""),
        ("name: a\ninner: &it {colour: red}\nby_name: {x: *it}\n", 2, "an alias (*name); write it out", ""),
        ("name: [a\n", 2, "This is not YAML", "Check the indentation and the quotes."),
        ("- a\n", 1, "Expected keys and values, found something else.", "Write `key: value`."),
        ("", 1, "Expected keys and values, found something else.", "Write `key: value`."),
        ("name: !!python/object/apply:os.getcwd []\n", 1, "This is not YAML", ""),
    ],
)
def test_a_fault_has_its_line_what_was_found_and_what_to_write_instead(
    text: str, line: int, found: str, remedy: str
) -> None:
    (fault,) = faults_of(text)

    assert fault.line == line
    assert found in fault.found
    assert remedy in fault.remedy


def test_all_faults_come_at_once() -> None:
    assert [fault.line for fault in faults_of("nam: a\ninner: {color: red}\nparts: 3\n")] == [1, 2, 3, 1]


def test_a_file_that_is_not_there_is_a_fault_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(FaultyFileError, match=r"none\.yaml:1: This file cannot be read\."):
        yamlfile.read(tmp_path / "none.yaml", Shape)


def test_a_fault_reads_as_file_line_found_and_remedy() -> None:
    fault = Fault(Path("a.yaml"), 3, "Wrong.", "Write it right.")

    assert str(fault) == "a.yaml:3: Wrong. Write it right."
    assert fault.to_dict() == {"file": "a.yaml", "line": 3, "found": "Wrong.", "remedy": "Write it right."}


def test_aliases_cannot_make_a_small_file_explode() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))

    assert "an alias" in faults_of(bomb)[0].found


EXOTIC = [
    "? [a]: b",
    "a: &x [*x]",
    "a: 2001-99-99",
    "a: !!int foo",
    "? {a: b}\n: c",
    "a: !!timestamp x",
    "a: !!binary ~",
]


@pytest.mark.parametrize("text", EXOTIC)
def test_what_trips_the_parser_itself_is_a_fault_too(text: str) -> None:
    assert faults_of(text)


SCRAPS = ["name", "inner", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&a ", "*a", "!!int ", "? ", "|\n", "'", '"']
SCRAPS += ["0x", "1e", "~", "#", "%", "\x00", "é", "\ufeff"]


def faults_or_none(body: bytes) -> list[Fault] | None:
    try:
        read(body)
    except FaultyFileError as error:
        return error.faults
    return None


@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from(SCRAPS)).map("".join)))
def test_whatever_is_written_the_answer_is_a_document_or_a_list_of_faults(text: str | bytes) -> None:
    body = text.encode("utf-8", "replace") if isinstance(text, str) else text

    faults = faults_or_none(body)

    assert faults is None or (faults and all(fault.line >= 1 and fault.found for fault in faults))


def test_another_encoding_is_named_with_its_line():
    with pytest.raises(FaultyFileError, match=r"shape\.yaml:2: Byte 0xea is not UTF-8\. Save the file again"):
        read("name: a\ntitle: Prêt\n".encode("latin-1"))
