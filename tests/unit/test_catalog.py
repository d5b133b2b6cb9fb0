"""Model folders and people, as files say who and what they are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from governance.catalog import (
    ModelSpec,
    MonitoringSpec,
    Protected,
    find_spec,
    load_people,
    load_spec,
    model_folders,
    names_of,
    people_of,
    spec_from_bytes,
)
from governance.errors import InputError
from governance.settings import ROOT, load_settings
from governance.yamlfile import FaultyFileError

LOAN = ROOT / "include" / "models" / "loan"
PEOPLE = """\
roles: {model_risk: Model risk, compliance: Compliance}
people:
  - {login: maria, id: p-c6f8, name: Maria Alvarez, roles: [model_risk], emails: [Maria@Bank.example]}
  - {login: tom, id: p-2b95, name: Tom Okafor, roles: [compliance, model_risk]}
"""


def people(text: str = PEOPLE):
    return load_people(Path("people.yaml"), text.encode())


class TestSpec:
    def test_the_loan_folder_reads_as_it_is_written(self) -> None:
        spec = load_spec(LOAN)

        assert (spec.name, spec.tier, spec.target.column, spec.developers) == (
            "loan",
            "high",
            "approve",
            ["dana", "luis"],
        )
        assert len(spec.features) == 47
        assert next(iter(spec.features)) == "occ"
        assert spec.contract == LOAN / "contract.json"
        assert spec.folder == LOAN

    def test_the_source_columns_of_protected_attributes_are_known(self) -> None:
        assert load_spec(LOAN).protected_columns == ("black", "hispan", "white", "male", "married", "old")

    def test_a_spec_from_a_permits_bytes_equals_the_one_from_its_file(self) -> None:
        body = (LOAN / "model.yaml").read_bytes()

        assert spec_from_bytes(body) == load_spec(LOAN)
        assert spec_from_bytes(body).digest == load_spec(LOAN).digest

    def test_a_spec_cannot_be_changed_after_it_was_read(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load_spec(LOAN).tier = "low"  # type: ignore[misc]

    def test_one_byte_more_is_another_digest(self) -> None:
        body = (LOAN / "model.yaml").read_bytes()

        assert spec_from_bytes(body + b"\n").digest != spec_from_bytes(body).digest

    def test_the_name_is_that_of_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "card"
        folder.mkdir()
        (folder / "model.yaml").write_bytes((LOAN / "model.yaml").read_bytes())

        with pytest.raises(FaultyFileError, match="The name `loan` is not the folder's, `card`"):
            load_spec(folder)

    @pytest.mark.parametrize("name", ["Loan", "../loan", "loan x", "", "9lives", "l" * 32])
    def test_a_name_is_short_lower_case_and_no_path(self, name: str) -> None:
        body = (LOAN / "model.yaml").read_text().replace("name: loan", f"name: '{name}'")

        with pytest.raises(FaultyFileError, match="`name` is"):
            spec_from_bytes(body.encode())

    def test_models_are_found_by_their_folders(self) -> None:
        settings = load_settings({})

        assert LOAN in model_folders(settings)
        assert find_spec(settings, "loan") == load_spec(LOAN)

    def test_a_model_that_does_not_exist_is_answered_with_those_that_do(self) -> None:
        with pytest.raises(InputError, match=r"found none\. Known models: .*loan"):
            find_spec(load_settings({}), "lone")


class TestProtected:
    @pytest.mark.parametrize(
        ("written", "columns"),
        [
            ("region", ("region",)),
            ({"Black": "black", "Hispanic": "hispan"}, ("black", "hispan")),
            ({"Black": "black", "otherwise": "others"}, ("black",)),
            ({"column": "male", "values": {"men": 1, "women": 0}}, ("male",)),
            ({"column": "male"}, ("male",)),
        ],
    )
    def test_all_forms_say_which_columns_they_are_made_from(self, written: object, columns: tuple) -> None:
        assert Protected.model_validate(written).columns == columns

    def test_the_name_of_the_rest_is_no_column(self) -> None:
        attribute = Protected.model_validate({"Black": "black", "otherwise": "others"})

        assert (attribute.otherwise, attribute.indicators) == ("others", {"Black": "black"})

    @pytest.mark.parametrize(
        "written",
        [{}, {"otherwise": "others"}, {"values": {"a": 1}}, {"column": "male", "indicators": {"men": "m"}}, 3],
    )
    def test_what_names_no_column_or_names_them_twice_is_refused(self, written: object) -> None:
        with pytest.raises(ValueError):
            Protected.model_validate(written)


class TestPeople:
    def test_a_person_is_found_by_login_by_id_and_by_e_mail_in_any_case(self) -> None:
        known = people()
        maria = known.everyone[0]

        assert known.by_login("maria") == known.by_id("p-c6f8") == known.by_email(" maria@bank.EXAMPLE ") == maria

    def test_a_stranger_is_nobody(self) -> None:
        known = people()

        assert (known.by_login("eve"), known.by_id("p-0000"), known.by_email("eve@bank.example")) == (None, None, None)
        assert known.by_email("") is None

    def test_the_identity_of_a_stranger_is_an_error_that_says_what_to_do(self) -> None:
        with pytest.raises(InputError, match=r"login 'eve' in people\.yaml, found no such person\. Add them\."):
            people().identity("eve")

    def test_who_holds_a_role(self) -> None:
        assert [person.login for person in people().holders("model_risk")] == ["maria", "tom"]
        assert people().holders("audit") == []

    def test_names_are_for_display_and_ids_stay_where_a_person_left(self) -> None:
        known = people()

        assert (known.name("p-2b95"), known.name("p-ffff")) == ("Tom Okafor", "p-ffff")
        assert (known.role_title("model_risk"), known.role_title("audit")) == ("Model risk", "audit")
        assert names_of(known) == {"p-c6f8": "Maria Alvarez", "p-2b95": "Tom Okafor"}

    def test_the_real_file_is_right(self) -> None:
        assert people_of(load_settings({})).by_login("priya")

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("login: tom", "login: maria", "people.yaml:4: `maria` occurs twice."),
            ("id: p-2b95", "id: p-c6f8", "people.yaml:4: `p-c6f8` occurs twice."),
            ("model_risk]}", "model_risk], emails: [maria@bank.example]}", "`maria@bank.example` occurs twice."),
            ("[compliance, model_risk]", "[compliance, audit]", "people.yaml:4: Unknown role `audit` of tom."),
            ("id: p-2b95", "id: tom", "`people.1.id` is 'tom'."),
        ],
    )
    def test_two_accounts_of_one_person_or_an_unknown_role_are_refused(self, old: str, new: str, told: str) -> None:
        with pytest.raises(FaultyFileError) as caught:
            people(PEOPLE.replace(old, new))

        assert told in str(caught.value)


def test_every_field_of_the_spec_that_people_sign_on_must_say_something() -> None:
    text = (LOAN / "model.yaml").read_text()

    for field in ("purpose", "limitations", "assumptions"):
        body = "".join(f"{field}: todo\n" if line.startswith(f"{field}:") else line for line in text.splitlines(True))
        lines = body.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith(field))
        while lines[at + 1].startswith("  "):
            del lines[at + 1]
        with pytest.raises(FaultyFileError, match=f"`{field}`: a sentence is expected here"):
            spec_from_bytes("\n".join(lines).encode())
    assert ModelSpec.model_fields.keys() >= {"purpose", "limitations", "assumptions"}


@pytest.mark.parametrize(
    ("written", "told"),
    [({"timezone": "Mars/Olympus"}, "is no time zone"), ({"schedule": "daily"}, "a schedule has five parts")],
)
def test_when_a_model_is_looked_at_must_be_a_time(written: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MonitoringSpec(**written)
