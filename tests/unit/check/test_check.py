"""``governance check``: one broken folder a row, and the fault that a person is told: file, line, remedy."""

from pathlib import Path

import pytest
from one_model import PLACES, Checkout

from governance.check import check_model, examine, stray_folders
from governance.errors import InputError
from governance.yamlfile import Fault

LAST_RULE = "    at_most: 0.10              # the tier asks for 0.20"
RULE = LAST_RULE + "\n  new:\n    measure: {measure}\n    {rest}\n"


def rule(measure: str, rest: str) -> tuple[str, str, str]:
    """A rule added to the loan policy."""
    return "policy", LAST_RULE, RULE.format(measure=measure, rest=rest)


# what is broken, (part, old, new) …, part that the fault names, a text on its line, found, remedy
BROKEN: dict[str, tuple] = {
    "unknown key": (
        [("model", "title: Mortgage", "titel: Mortgage")],
        ("model", "titel:", "Unknown key `titel`.", "Did you mean `title`?"),
    ),
    "unknown key deep inside": (
        [("model", "{seconds: 120", "{secnds: 120")],
        ("model", "secnds", "Unknown key `training.limits.secnds`.", "Did you mean `seconds`?"),
    ),
    "wrong type": (
        [("model", "seed: 0", "seed: zero")],
        ("model", "seed: zero", "`training.seed` is 'zero'.", "Expected a whole number."),
    ),
    "another tier than there are": (
        [("model", "tier: high ", "tier: hihg ")],
        ("model", "tier: hihg", "`tier` is 'hihg'.", "Did you mean `high`?"),
    ),
    "predictions kept shorter than the tier keeps them": (
        [("policy", "regulations: [reg_b]", "days: 400\n  regulations: [reg_b]")],
        ("policy", "days: 400", "`predictions.days: 400` is looser than tier high allows (762).", "or leave it out"),
    ),
    "predictions kept shorter than a regulation asks for": (
        [("high", "  days: 762", "  days: 365")],
        ("policy", "predictions:", "25 months", ""),
    ),
    "predictions under a regulation that nobody knows": (
        [("policy", "regulations: [reg_b]", "regulations: [gdpr]")],
        ("policy", "predictions:", "Expected regulations among eu_ai_act, reg_b for loan, found gdpr.", ""),
    ),
    "retraining on what is no source": (
        [("model", "parquet:../../../data/loan/decided.parquet", "decided.xlsx")],
        ("model", "decided.xlsx", "Unknown kind of source in 'decided.xlsx'.", "Correct `source:`."),
    ),
    "retraining at no time": (
        [("model", "retraining: ", "retraining:\n  schedule: monthly")],
        ("model", "schedule: monthly", "a schedule has five parts", ""),
    ),
    "no target": (
        [("model", "  column: approve\n", "")],
        ("model", "target:", "`target.column` is missing.", "Add it."),
    ),
    "target among the features": (
        [("model", "  occ: Occupancy", "  occ: Occupancy\n  approve: The outcome")],
        (
            "model",
            "approve: The outcome",
            "The target `approve` is among the features.",
            "it tells the model the answer",
        ),
    ),
    "target is protected": (
        [("model", "column: approve", "column: male")],
        (
            "model",
            "column: male",
            "The target `male` is a column of a protected attribute.",
            "what the model is to learn",
        ),
    ),
    "protected attribute among the features": (
        [("model", "  occ: Occupancy", "  occ: Occupancy\n  hispan: Hispanic")],
        ("model", "  hispan:", "Feature `hispan` is the protected attribute `race`.", "grant it under `granted:`"),
    ),
    "leak among the features": (
        [("model", "  occ: Occupancy", "  occ: Occupancy\n  reject: Rejected")],
        ("model", "  reject: Rejected", "Feature `reject` tells the outcome: the decision itself.", "Remove this line"),
    ),
    "grant for nothing": (
        [("model", "proxies:", "granted: [{column: gdlin, reason: It has always been so.}]\nproxies:")],
        ("model", "granted:", "`gdlin` needs no grant: it is neither protected nor a leak.", "Remove it."),
    ),
    "grant without a reason": (
        [("model", "proxies:", "granted: [{column: male, reason: ok}]\nproxies:")],
        ("model", "granted:", "`granted.0.reason` is 'ok'.", "at least 10 characters"),
    ),
    "proxy that is no feature": (
        [("model", "proxies: [min30,", "proxies: [min3,")],
        ("model", "proxies:", "Proxy `min3` is not a feature.", "Did you mean `min30`?"),
    ),
    "intersection of an unknown attribute": (
        [("model", "[[race, sex]]", "[[race, sexx]]")],
        ("model", "intersections:", "Intersection of `sexx`, which is no protected attribute.", "Did you mean `sex`?"),
    ),
    "attribute with one group": (
        [("model", "race: {Black: black, Hispanic: hispan, White: white}", "race: {Black: black}")],
        (
            "model",
            "race: {Black",
            "`race` has one group only: there is nothing to compare it with.",
            "Add `otherwise:`",
        ),
    ),
    "attribute of both forms": (
        [("model", "sex: {column: male, values: {men: 1, women: 0}}", "sex: {column: male, indicators: {men: male}}")],
        ("model", "sex: {column", "`protected.sex`: name a column with its values, or a column for each group", ""),
    ),
    "key of an attribute mistyped": (
        [("model", "sex: {column: male,", "sex: {colum: male,")],
        ("model", "sex: {colum", "Unknown key `protected.sex.colum`.", "Did you mean `column`?"),
    ),
    "threshold that decides nothing": (
        [("model", "thresholds: [0.45", "thresholds: [1.45")],
        ("model", "thresholds:", "A threshold of 1.45 decides the same for everybody.", "between 0 and 1"),
    ),
    "owner nobody knows": (
        [("model", "person: priya", "person: pria")],
        ("model", "person: pria", "`pria` is nobody in people.yaml.", "Did you mean `priya`?"),
    ),
    "developer nobody knows": (
        [("model", "developers: [dana, luis]", "developers: [dana, xaver]")],
        ("model", "developers:", "`xaver` is nobody in people.yaml.", "Add this login to people.yaml."),
    ),
    "name of another folder": (
        [("model", "name: loan", "name: lone")],
        ("model", "name: lone", "The name `lone` is not the folder's, `loan`.", "Make them one."),
    ),
    "purpose that says nothing": (
        [("model", "Recommends approve or deny on a mortgage application. A loan officer decides.", "TODO")],
        ("model", "purpose:", "`purpose`: a sentence is expected here: a reviewer signs on it.", ""),
    ),
    "not YAML": (
        [("model", "task: binary_classification", "task: binary: classification")],
        (
            "model",
            "task:",
            "This is not YAML: mapping values are not allowed in this context.",
            "Check the indentation",
        ),
    ),
    "key written twice": (
        [("policy", "rules:\n", "version: 2.0.0\nrules:\n")],
        ("policy", "version: 2.0.0", "the key 'version' is written twice.", ""),
    ),
    "contract that is not there": (
        [("model", "contract: contract.json", "contract: contrct.json")],
        ("model", "contract:", "The contract `contrct.json` does not exist.", "Great Expectations suite"),
    ),
    "contract outside the folder": (
        [("model", "contract: contract.json", "contract: ../other.json")],
        (
            "model",
            "contract:",
            "The contract `../other.json` lies outside the model's folder.",
            "Keep it in the folder",
        ),
    ),
    "policy of another model": (
        [("policy", "model: loan", "model: card")],
        ("policy", "model: card", "This policy is of `card`, the folder is `loan`'s.", "Write `model: loan`."),
    ),
    "policy of another tier": (
        [("policy", "extends: high", "extends: low")],
        ("policy", "extends: low", "The policy extends `low`, but model.yaml says `tier: high`.", "`extends: high`"),
    ),
    "looser than the tier": (
        [("policy", "at_most: 0.10 ", "at_most: 0.30 ")],
        ("policy", "at_most: 0.30", "`rules.brier.at_most: 0.3` is looser than tier high allows (0.2).", "or stricter"),
    ),
    "fewer signatures than the tier": (
        [("policy", "approvals:\n", "approvals:\n  roles: {compliance: 0}\n")],
        ("policy", "roles:", "`approvals.roles.compliance` is 0.", "greater than or equal to 1"),
    ),
    "unknown measure": (
        [("policy", "measure: performance.accuracy", "measure: performance.acuracy")],
        ("policy", "measure:", "Unknown measure `performance.acuracy`.", "Did you mean `performance.accuracy`?"),
    ),
    "floor where less is better": (
        [rule("performance.log_loss", "at_least: 0.3")],
        (
            "policy",
            "at_least: 0.3",
            "`at_least` is on the wrong side: of `performance.log_loss`, less is better.",
            "at_most: 0.3",
        ),
    ),
    "ceiling where more is better": (
        [rule("performance.precision", "at_most: 0.3")],
        (
            "policy",
            "at_most: 0.3",
            "`at_most` is on the wrong side: of `performance.precision`, more is better.",
            "at_least: 0.3",
        ),
    ),
    "warning on the wrong side": (
        [("policy", "    at_least: 0.80 ", "    warn_above: 0.90\n    at_least: 0.80 ")],
        (
            "policy",
            "warn_above",
            "`warn_above` is on the wrong side: of `performance.roc_auc`, more is",
            "warn_below: 0.9",
        ),
    ),
    "warning beyond the limit": (
        [("policy", "    at_most: 0.10 ", "    warn_above: 0.15\n    at_most: 0.10 ")],
        (
            "policy",
            "warn_above",
            "Rule `brier` would warn above 0.15 but blocks above 0.1 already.",
            "Warn below the limit.",
        ),
    ),
    "limit in percent": (
        [("policy", "at_least: 0.85", "at_least: 85")],
        (
            "policy",
            "at_least: 85",
            "`at_least: 85` is no value of `performance.accuracy`, which is 0 to 1.",
            "from 0 to 1",
        ),
    ),
    "limit that always holds": (
        [rule("fairness.predictive_parity_difference", "over: attributes\n    at_most: 1")],
        ("policy", "at_most: 1", "`at_most: 1` holds whatever is measured", "can be broken"),
    ),
    "limit that is no number": (
        [rule("performance.log_loss", "at_most: .nan")],
        ("policy", "at_most: .nan", "`rules.new.at_most` is nan.", "Expected a finite number."),
    ),
    "rule without a limit": (
        [rule("performance.log_loss", "title: Log loss")],
        ("policy", "new:", "Rule `new` has no limit: it would pass whatever is measured.", "Add one of: at_least"),
    ),
    "rule without a measure": (
        [("policy", LAST_RULE, LAST_RULE + "\n  new:\n    at_most: 0.5\n")],
        ("policy", "new:", "Rule `new` names no measure.", "Add `measure:`."),
    ),
    "comparison judged as a whole": (
        [rule("fairness.denial_ratio", "at_most: 2")],
        (
            "policy",
            "new:",
            "Rule `new` judges `fairness.denial_ratio` over everything, but it is measured of",
            "over: attributes",
        ),
    ),
    "limit over groups": (
        [rule("fairness.true_positive_rate", "over: groups\n    at_least: 0.5")],
        (
            "policy",
            "new:",
            "Rule `new` has a limit over groups, which are reported and not judged.",
            "over: attributes",
        ),
    ),
    "measure of features": (
        [rule("explainability.importance", "at_most: 0.5")],
        ("policy", "new:", "Rule `new` judges `explainability.importance` over everything", "Choose another measure."),
    ),
    "bound of what is counted": (
        [rule("operations.load_ms", "of: high\n    at_most: 900")],
        ("policy", "of: high", "`operations.load_ms` is counted and has no interval, so no high end.", "Remove `of:`."),
    ),
    "role that does not exist": (
        [("policy", "approvals:\n", "approvals:\n  roles: {complience: 1}\n")],
        ("policy", "roles:", "Unknown role `complience`.", "Did you mean `compliance`?"),
    ),
    "role that nobody holds": (
        [
            ("people", "roles: [auditor],", "roles: [],"),
            ("policy", "approvals:\n", "approvals:\n  roles: {auditor: 1}\n"),
        ],
        ("policy", "roles: {auditor", "Nobody holds the role `auditor`.", "Give it to 1 in people.yaml."),
    ),
    "only the developer holds the role": (
        [("people", "name: Maria Alvarez, roles: [model_risk]", "name: Maria Alvarez, roles: []")],
        (
            "high",
            "roles:",
            "`model_risk` must sign 1 ×, but only 0 may: Dana Whitfield is a developer of this model.",
            "somebody else",
        ),
    ),
    "too few left without the developer": (
        [("policy", "approvals:\n", "approvals:\n  roles: {model_risk: 2}\n")],
        (
            "policy",
            "roles:",
            "`model_risk` must sign 2 ×, but only 1 may: Dana Whitfield is a developer",
            "developers may not sign",
        ),
    ),
    "one person for two roles": (
        [
            (
                "people",
                "name: Maria Alvarez, roles: [model_risk]",
                "name: Maria Alvarez, roles: [model_risk, compliance]",
            ),
            ("people", "name: Tom Okafor, roles: [compliance]", "name: Tom Okafor, roles: []"),
            ("people", "name: Ines Marchetti, roles: [compliance]", "name: Ines Marchetti, roles: []"),
        ],
        (
            "high",
            "roles:",
            "1 × `model_risk` and 1 × `compliance` cannot be signed by different people",
            "one more person",
        ),
    ),
    "person with an unknown role": (
        [("people", "roles: [auditor],", "roles: [audit],")],
        ("people", "omar", "Unknown role `audit` of omar.", "Known: model_risk"),
    ),
    "two accounts of one person": (
        [("people", "{login: omar,", "{login: tom,")],
        ("people", "Omar", "`tom` occurs twice.", "could sign twice"),
    ),
    "unknown measure in the tier's file": (
        [("high", "performance.brier_score", "performance.brier_skore")],
        ("policy", "brier:", "Unknown measure `performance.brier_skore`.", "Did you mean `performance.brier_score`?"),
    ),
    "tier's file under another name": (
        [("high", "tier: high", "tier: low")],
        ("high", "tier: low", "The policy extends high, but this file says `tier: low`.", "`tier: high`"),
    ),
    "approval by nobody": (
        [("high", "roles: {model_risk: 1, compliance: 1}", "roles: {}")],
        ("high", "roles: {}", "`approvals.roles` is {}.", "at least one item"),
    ),
    "a rule whose Rego file is missing": (
        [("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    rego: rules/own.rego")],
        ("policy", "rego:", "Expected the file own.rego, found none.", "remove the rule"),
    ),
    "a rule whose Python file is missing": (
        [("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    python: rules.py:own")],
        ("policy", "python:", "Expected the file rules.py, found none.", "remove the rule"),
    ),
    "a function that is not there": (
        [("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    python: train.py:fitt")],
        ("policy", "python:", "train.py has no function `fitt`.", "Did you mean `fit`?"),
    ),
    "a rule that takes another number of arguments": (
        [("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    python: train.py:fit")],
        ("policy", "python:", "`fit` of train.py takes (frame, params, weights=None)", "Write `def fit(given): …`"),
    ),
    "more folds than anybody can wait for": (
        [("model", "folds: 5", "folds: 1000000000")],
        ("model", "evaluation:", "`training.evaluation.folds` is 1000000000", "less than or equal to 50"),
    ),
    "a seed that no library takes": (
        [("model", "seed: 0", "seed: 99999999999")],
        ("model", "seed:", "is 99999999999", "less than"),
    ),
    "a rule in a file that is no Python": (
        [
            ("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    python: train.py:fit"),
            ("train", "def fit(", "deff fit("),
        ],
        ("policy", "python:", "train.py is not Python, line", "Correct it."),
    ),
    "a rule with a measure and code": (
        [("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    python: train.py:fit\n    measure: performance.f1")],
        ("policy", "measure: performance.f1", "names both `python` and `measure`", "Remove one of them"),
    ),
    "an exception for a measure that there is not": (
        [("high", "drift.*]", "drivt.*]")],
        ("high", "no champion", "Unknown measure `drivt.*`.", "drift"),
    ),
    "an exception that the tier does not grant": (
        [("policy", "rules:\n", "not_applicable: {no persons: [fairness.*]}\n\nrules:\n")],
        ("policy", "no persons", "is looser than tier high, which grants nothing there.", "not add them"),
    ),
    "a tier without a word on overdue findings": (
        [("high", "overdue_findings: block", "# nothing on findings:")],
        ("high", "# What a model", "none would ever stop a release", "`overdue_findings: block`"),
    ),
    "a tier without a word on what happens without a version to roll back to": (
        [("high", "no_rollback_target: suspend", "# nothing:")],
        ("high", "# What a model", "it would serve on", "`no_rollback_target: suspend`"),
    ),
    "a tier without a word on who may stop a model": (
        [("high", "may_stop: [", "# [")],
        ("high", "# What a model", "nobody could", "`may_stop:`"),
    ),
    "a break-glass release by a role that there is not": (
        [("high", "  roles: [model_risk, compliance] ", "  roles: [model_rsk] ")],
        ("high", "roles: [model_rsk]", "Unknown role `model_rsk`.", "model_risk"),
    ),
    "a break-glass release that too few could take part in": (
        [("policy", "rules:\n", "break_glass: {people: 9}\n\nrules:\n")],
        ("high", "roles: [model_risk, compliance]", "takes 9 people who are not developers", "somebody else"),
    ),
}


def faults_of(checkout: Checkout) -> list[Fault]:
    return check_model(checkout.settings, "loan")


def test_the_loan_folder_has_no_fault(checkout: Checkout) -> None:
    assert faults_of(checkout) == []


def test_rules_that_are_code_and_can_be_run_are_no_fault(checkout: Checkout) -> None:
    folder = checkout.path("policy").parent
    (folder / "rules").mkdir()
    (folder / "rules" / "own.rego").write_text("package governance\ndecision := {}\n")
    (folder / "rules.py").write_text("def own(given):\n    return {}\n")
    rules = "\n  own:\n    rego: rules/own.rego\n  other:\n    python: rules.py:own"
    checkout.change("policy", LAST_RULE, LAST_RULE + rules)

    assert faults_of(checkout) == []


def test_rego_that_does_not_parse_is_told_with_its_line(checkout: Checkout) -> None:
    folder = checkout.path("policy").parent
    (folder / "own.rego").write_text("package governance\n\ndecision := {")
    checkout.change("policy", LAST_RULE, f"{LAST_RULE}\n  own:\n    rego: own.rego")

    (fault,) = faults_of(checkout)
    assert fault.found == "own.rego is no rule: line 3: this is unclosed."


def test_a_model_of_nobody_needs_the_tiers_grant(checkout: Checkout) -> None:
    text = checkout.path("model").read_text()
    start, end = text.index("protected:"), text.index("features:")
    nobody = "no_persons: Loans of one bank to another, of nobody in particular.\n"
    checkout.path("model").write_text(text[:start] + nobody + text[end:])

    found = [fault for fault in faults_of(checkout) if "No protected attribute is named" in fault.found]
    assert found
    assert "Tier high grants no `no persons` here" in found[0].remedy


@pytest.mark.parametrize(("changes", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_told_with_file_line_and_remedy(checkout: Checkout, changes: list, told: tuple) -> None:
    for part, old, new in changes:
        checkout.change(part, old, new)
    part, on_line, found, remedy = told

    matching = [fault for fault in faults_of(checkout) if found in fault.found]

    assert matching, "\n".join(map(str, faults_of(checkout)))
    assert matching[0].file == PLACES[part]
    assert on_line in checkout.path(part).read_text().splitlines()[matching[0].line - 1]
    assert remedy in matching[0].remedy


@pytest.mark.parametrize(
    ("written", "line", "found"),
    [
        (None, 1, "This file is missing."),
        ("def train(frame, params):\n    pass\n", 1, "No function `fit` is defined at the top level."),
        ("class A:\n    def fit(self, frame):\n        pass\n", 1, "No function `fit` is defined at the top level."),
        ("\n\ndef fit(frame):\n    pass\n", 3, "`fit(frame)` cannot be called with a frame and parameters."),
        ("def fit(frame, params, seed):\n    pass\n", 1, "`fit(frame, params, seed)` cannot be called"),
        ("def fit(frame, params, *, seed):\n    pass\n", 1, "`fit(frame, params, *, seed)` cannot be called"),
        ("async def fit(frame, params):\n    pass\n", 1, "`fit` is asynchronous."),
    ],
)
def test_a_train_file_without_a_usable_fit_is_told(
    checkout: Checkout, written: str | None, line: int, found: str
) -> None:
    path = checkout.path("train")
    path.unlink() if written is None else path.write_text(written)

    (fault,) = faults_of(checkout)

    assert (fault.file, fault.line) == (PLACES["train"], line)
    assert found in fault.found
    assert "def fit(frame, params):" in fault.remedy


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("def drift(reference, current):\n    pass\n", "No function `measure` is defined at the top level."),
        ("def measure(frame):\n    pass\n", "`measure(frame)` cannot be called with two tables."),
        ("def measure(", "This is not Python"),
    ],
)
def test_a_drift_file_without_a_usable_measure_is_told_and_none_need_be_there(
    checkout: Checkout, written: str, found: str
) -> None:
    assert faults_of(checkout) == []
    path = checkout.path("train").with_name("drift.py")
    path.write_text(written)

    (fault,) = faults_of(checkout)

    assert (checkout.root / fault.file, found in fault.found) == (path, True)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("def embed(frame):\n    pass\n", "`embed(frame)` cannot be called with a table and files."),
        ("def embedding(frame, files):\n    pass\n", "No function `embed` is defined at the top level."),
    ],
)
def test_an_embedding_file_without_a_usable_function_is_told(checkout: Checkout, written: str, found: str) -> None:
    path = checkout.path("train").with_name("embedding.py")
    path.write_text("def embed(frame, files):\n    pass\n")
    assert faults_of(checkout) == []
    path.write_text(written)

    (fault,) = faults_of(checkout)

    assert (checkout.root / fault.file, fault.found) == (path, found)


@pytest.mark.parametrize(
    "signature", ["frame, params", "frame, params, verbose=False", "*arguments", "data, params={}"]
)
def test_any_signature_that_takes_a_frame_and_parameters_will_do(checkout: Checkout, signature: str) -> None:
    checkout.path("train").write_text(f"def fit({signature}):\n    pass\n")

    assert faults_of(checkout) == []


def test_the_train_file_is_never_run(checkout: Checkout) -> None:
    left_behind = checkout.root / "ran"
    checkout.change("train", "TARGET =", f"open({str(left_behind)!r}, 'w')\nTARGET =")

    faults_of(checkout)

    assert not left_behind.exists()


@pytest.mark.parametrize(
    ("written", "line", "found"),
    [
        ("{", 1, "This is not JSON"),
        ('{"name": "loan"}', 1, "This is not a Great Expectations suite."),
        ('{"name": "loan", "expectations": []}', 1, "The contract expects nothing"),
        (
            '{"name": "l", "expectations": [\n{"type": "expect_x", "kwargs": {}},\n{"type": "drop"}]}',
            3,
            "Expectation 2",
        ),
    ],
)
def test_a_contract_that_is_no_suite_is_told(checkout: Checkout, written: str, line: int, found: str) -> None:
    checkout.path("contract").write_text(written)

    (fault,) = faults_of(checkout)

    assert (fault.file, fault.line) == (PLACES["contract"], line)
    assert found in fault.found


def test_a_protected_feature_may_be_granted_by_name_and_reason(checkout: Checkout) -> None:
    checkout.change("model", "  occ: Occupancy", "  occ: Occupancy\n  old: Above median age")
    checkout.change("model", "proxies:", "granted: [{column: old, reason: Regulation B allows age here.}]\nproxies:")

    assert faults_of(checkout) == []


def test_a_spec_without_protected_attributes_is_told_under_rules_that_compare_them(checkout: Checkout) -> None:
    text = checkout.path("model").read_text()
    start, end = text.index("protected: "), text.index("features: ")
    checkout.path("model").write_text(text[:start] + "protected: {}\n" + text[end:])

    (fault,) = faults_of(checkout)

    assert fault.found.startswith("No protected attribute is named, but `parity`, `disparate_impact`")
    assert fault.line == checkout.line_of("model", "protected: {}")


def test_a_developer_who_holds_a_role_is_noted_and_no_fault(checkout: Checkout) -> None:
    findings = examine(checkout.settings, "loan")

    assert findings.faults == ()
    assert [str(note) for note in findings.notes] == [
        "include/models/loan/model.yaml:6: Dana Whitfield holds `model_risk` and will be refused on this model, as its "
        "developer. Others hold the role: nothing to do."
    ]


def test_every_fault_is_told_at_once_in_the_order_of_the_files(checkout: Checkout) -> None:
    checkout.change("model", "person: priya", "person: pria").change("model", "proxies: [min30,", "proxies: [min3,")
    checkout.change("policy", "model: loan", "model: card").change("people", "roles: [auditor],", "roles: [audit],")
    checkout.path("train").unlink()

    places = [(fault.file.name, fault.line) for fault in faults_of(checkout)]

    assert places == sorted(
        places, key=lambda place: (["model.yaml", "policy.yaml", "train.py", "people.yaml"].index(place[0]), place[1])
    )
    assert {name for name, _ in places} == {"model.yaml", "policy.yaml", "train.py", "people.yaml"}


def test_a_missing_policy_does_not_hide_the_other_faults(checkout: Checkout) -> None:
    checkout.path("policy").unlink()
    checkout.change("model", "proxies: [min30,", "proxies: [min3,")

    found = [fault.found for fault in faults_of(checkout)]

    assert found == ["Proxy `min3` is not a feature.", "This file cannot be read."]


def test_a_model_that_does_not_exist_is_answered_with_those_that_do(checkout: Checkout) -> None:
    with pytest.raises(InputError, match=r"found none\. Known models: loan\."):
        check_model(checkout.settings, "lone")


def test_a_folder_without_a_spec_is_not_overlooked(checkout: Checkout) -> None:
    (checkout.settings.models / "draft").mkdir()

    assert stray_folders(checkout.settings) == ["draft"]


class TestAgainstTheData:
    """Only where asked: the source is read."""

    def test_the_loan_folder_names_every_column_of_its_data(self, checkout: Checkout) -> None:
        findings = examine(checkout.settings, "loan", data=True)

        assert findings.faults == ()
        assert not [note for note in findings.notes if "not mentioned" in note.found]

    @pytest.mark.parametrize(
        ("old", "new", "line", "told"),
        [
            ("  gdlin:", "  gdlinn:", "gdlinn", "no column `gdlinn`, which is a feature here. Did you mean `gdlin`?"),
            ("  typur:", "  typurr:", "typurr", "no column `typurr`, which is a leak here. Did you mean `typur`?"),
            ("{men: 1, women", "{men: M, women", "men: M", "No row is in group `men` of `sex`: `male` is never 'M'"),
            ("loanapp)", "loanap)", "source:", "The data cannot be read:"),
        ],
    )
    def test_a_name_that_the_data_do_not_have_is_told(
        self, checkout: Checkout, old: str, new: str, line: str, told: str
    ) -> None:
        checkout.change("model", old, new)

        faults = check_model(checkout.settings, "loan", data=True)

        assert told in str(faults[0])
        assert faults[0].line == checkout.line_of("model", line)

    def test_columns_that_nobody_mentions_are_noted(self, checkout: Checkout) -> None:
        checkout.change("model", "  review: how often", "  # review: how often")

        notes = examine(checkout.settings, "loan", data=True).notes

        assert any("1 columns of the data are not mentioned: review." in note.found for note in notes)


def test_paths_are_relative_to_the_checkout(checkout: Checkout) -> None:
    checkout.change("model", "person: priya", "person: pria")

    (fault,) = faults_of(checkout)

    assert fault.file == Path("include/models/loan/model.yaml")
