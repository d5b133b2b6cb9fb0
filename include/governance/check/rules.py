"""The rules of both policy files, held against what measures can produce, and against the code that they name."""

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from governance.catalog import ModelSpec
from governance.check.wording import did_you_mean
from governance.errors import GovernanceError
from governance.measures.catalogue import MEASURES, MeasureInfo
from governance.policyfile import CODE_SECONDS, PolicyFile, RuleText, TierFile, covers, limits_of, merged_rules
from governance.rules.evaluate import parse_rego
from governance.yamlfile import Document, Fault

FLOORS = ("at_least", "warn_below")
OTHER_SIDE = {"at_least": "at_most", "at_most": "at_least", "warn_below": "warn_above", "warn_above": "warn_below"}

PRODUCED_OVER = {"everything": ("everything",), "attributes": ("attributes", "intersections"), "groups": ("groups",)}
"""What a measurement speaks of → what a rule may judge it over."""

Where = tuple[str, str]


def faults(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    """Yield rules that cannot mean what they say; a fault in the tier's file is found through every model."""
    for name, (document, text) in merged_rules(own, tier).items():
        if text.measure is None:
            continue
        info = MEASURES.get(text.measure)
        if info is None:
            remedy = did_you_mean(text.measure, MEASURES, f"Known: {', '.join(sorted(MEASURES))}.")
            yield document.fault(("rules", name, "measure"), f"Unknown measure `{text.measure}`.", remedy)
        else:
            yield from _rule(document, ("rules", name), text, info)


def code(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    """Yield rules that are code and could not be run: no file, no such function, text that does not parse."""
    for document in (tier, own):
        for name, text in document.content.rules.items():
            if text.rego:
                yield from _rego(document, ("rules", name, "rego"), text)
            if text.python and document is own:
                yield from _python(document, ("rules", name, "python"), text.python)


def grants(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    """Yield exceptions and waivers that speak of no measure, and a tier that says nothing of overdue findings."""
    for document in (tier, own):
        for condition, measures in document.content.not_applicable.items():
            yield from _unknown(document, ("not_applicable", condition), measures)
        if document.content.waivers:
            yield from _unknown(document, ("waivers", "never"), document.content.waivers.never)
    if tier.content.overdue_findings is None:
        found = "This tier does not say what an overdue finding does: none would ever stop a release."
        yield tier.fault((), found, "Write `overdue_findings: block`.")


def incidents(tier: Document[TierFile]) -> Iterator[Fault]:
    """Yield what a tier does not say of incidents."""
    if tier.content.no_rollback_target is None:
        found = "This tier does not say what happens where there is no version to roll back to: it would serve on."
        yield tier.fault((), found, "Write `no_rollback_target: suspend`, or `keep_and_call`.")
    if tier.content.may_stop is None:
        yield tier.fault(
            (), "This tier does not say who may stop a model on the page: nobody could.", "Write `may_stop:`."
        )


def kept(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    """Yield what a policy says of keeping predictions that a regulation does not allow."""
    from governance.predictions.retention import Retention, check

    regulations = {*tier.content.predictions.regulations, *own.content.predictions.regulations}
    days = own.content.predictions.days or tier.content.predictions.days
    try:
        check(own.content.model, Retention(days, tuple(sorted(regulations))))
    except GovernanceError as error:
        yield own.fault(("predictions",), str(error), "")


def _unknown(document: Document[Any], path: tuple[str, ...], patterns: Iterable[str]) -> Iterator[Fault]:
    for pattern in patterns:
        if not any(covers([pattern], name) for name in (*MEASURES, "rule.any")):
            remedy = did_you_mean(pattern, MEASURES, "Name a measure, or a family: `drift.*`.")
            yield document.fault(path, f"Unknown measure `{pattern}`.", remedy)


def _rego(document: Document[Any], path: tuple[str, ...], text: RuleText) -> Iterator[Fault]:
    file = document.path.parent / str(text.rego)
    if not file.is_file():
        yield document.fault(path, f"Expected the file {file.name}, found none.", f"Write {file}, or remove the rule.")
    elif fault := parse_rego(file, float(text.seconds or CODE_SECONDS)):
        remedy = "It needs `package governance` and a `decision` with `outcome` and `reason`."
        yield document.fault(path, f"{file.name} is no rule: {fault}.", remedy)


def _python(document: Document[Any], path: tuple[str, ...], written: str) -> Iterator[Fault]:
    name, _, function = written.partition(":")
    file = document.path.parent / name
    if not file.is_file():
        yield document.fault(path, f"Expected the file {name}, found none.", f"Write {file}, or remove the rule.")
        return
    try:
        parts = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        yield document.fault(path, f"{name} is not Python{line}: {getattr(error, 'msg', error)}.", "Correct it.")
        return
    defined = {part.name: part for part in parts if isinstance(part, ast.FunctionDef)}
    if function not in defined:
        remedy = did_you_mean(function, defined, f"Write `def {function}(given): …`.")
        yield document.fault(path, f"{name} has no function `{function}`.", remedy)
    elif not _takes_one(defined[function].args):
        found = (
            f"`{function}` of {name} takes ({ast.unparse(defined[function].args)}), and is called with one argument."
        )
        yield document.fault(path, found, f"Write `def {function}(given): …`: measurements and spec are in it.")


def _takes_one(arguments: ast.arguments) -> bool:
    """Whether a call with one positional argument is right."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    without_default = [default for default in arguments.kw_defaults if default is None]
    return needed <= 1 and (positional >= 1 or arguments.vararg is not None) and not without_default


def of_another(own: Document[PolicyFile], spec: ModelSpec) -> Iterator[Fault]:
    """Yield a policy that belongs to another model, or to another tier than the spec says."""
    if own.content.model != spec.name:
        found = f"This policy is of `{own.content.model}`, the folder is `{spec.name}`'s."
        yield own.fault(("model",), found, f"Write `model: {spec.name}`.")
    if own.content.extends != spec.tier:
        found = f"The policy extends `{own.content.extends}`, but model.yaml says `tier: {spec.tier}`."
        yield own.fault(("extends",), found, f"Write `extends: {spec.tier}`.")


def without_attributes(own: Document[PolicyFile], tier: Document[TierFile], spec: ModelSpec) -> Iterator[Fault]:
    """Yield a spec without protected attributes under rules that compare them, and where no tier grants that."""
    if spec.protected:
        if spec.no_persons:
            found = "`no_persons` says that nobody is concerned, but protected attributes are named."
            yield spec.document.fault(("no_persons",), found, "Remove one of them.")
        return
    granted = {**tier.content.not_applicable, **own.content.not_applicable}.get("no persons", [])
    over = [
        name
        for name, (_, text) in merged_rules(own, tier).items()
        if text.over in ("attributes", "intersections")
        and spec.task in (text.tasks or [spec.task])
        and not (spec.no_persons and covers(granted, str(text.measure)))
    ]
    if over:
        found = f"No protected attribute is named, but {', '.join(f'`{name}`' for name in over)} compare them."
        remedy = "Name at least one: these rules block otherwise."
        if granted:
            remedy += " Where nobody is concerned, write `no_persons:` and why."
        elif spec.no_persons:
            remedy = f"Tier {tier.content.tier} grants no `no persons` here: name an attribute, or the rules block."
        yield spec.document.fault(("protected",), found, remedy)


def _rule(document: Document[Any], path: Where, text: RuleText, info: MeasureInfo) -> Iterator[Fault]:
    over = text.over or "everything"
    produced = PRODUCED_OVER.get(info.of, ())
    if over not in produced:
        found = f"Rule `{path[1]}` judges `{text.measure}` over {over}, but it is measured of {info.of}."
        remedy = f"Write `over: {produced[0]}`." if produced else "Choose another measure."
        yield document.fault((*path, "over"), found, f"{remedy} As it is, the rule always blocks.")
    if text.of in ("low", "high") and not info.has_interval:
        found = f"`{text.measure}` is counted and has no interval, so no {text.of} end."
        yield document.fault((*path, "of"), found, "Remove `of:`.")
    for limit, value in limits_of(text).items():
        yield from _limit(document, (*path, limit), text, info, value)


def _limit(
    document: Document[Any], path: tuple[str, str, str], text: RuleText, info: MeasureInfo, value: float
) -> Iterator[Fault]:
    limit, is_floor = path[-1], path[-1] in FLOORS
    lowest, highest = info.lowest, info.highest
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        found = f"`{limit}: {value:g}` is no value of `{text.measure}`, which is {info.range_in_words}."
        yield document.fault(path, found, f"Write a limit from {info.range_in_words}.")
    elif info.better and is_floor != (info.better == "higher"):
        found = f"`{limit}` is on the wrong side: of `{text.measure}`, {_better(info)} is better."
        yield document.fault(path, found, f"Write `{OTHER_SIDE[limit]}: {value:g}`.")
    elif value == (lowest if is_floor else highest):
        found = f"`{limit}: {value:g}` holds whatever is measured: `{text.measure}` is {info.range_in_words}."
        yield document.fault(path, found, "Write a limit that can be broken, or remove it.")


def _better(info: MeasureInfo) -> str:
    return "more" if info.better == "higher" else "less"
