"""The rules of both policy files, held against what measures can produce."""

from collections.abc import Iterator
from typing import Any

from governance.catalog import ModelSpec
from governance.check.wording import did_you_mean
from governance.measures.catalogue import MEASURES, MeasureInfo
from governance.policyfile import PolicyFile, RuleText, TierFile, limits_of, merged_rules
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


def of_another(own: Document[PolicyFile], spec: ModelSpec) -> Iterator[Fault]:
    """Yield a policy that belongs to another model, or to another tier than the spec says."""
    if own.content.model != spec.name:
        found = f"This policy is of `{own.content.model}`, the folder is `{spec.name}`'s."
        yield own.fault(("model",), found, f"Write `model: {spec.name}`.")
    if own.content.extends != spec.tier:
        found = f"The policy extends `{own.content.extends}`, but model.yaml says `tier: {spec.tier}`."
        yield own.fault(("extends",), found, f"Write `extends: {spec.tier}`.")


def without_attributes(own: Document[PolicyFile], tier: Document[TierFile], spec: ModelSpec) -> Iterator[Fault]:
    """Yield a spec without protected attributes under rules that compare them."""
    over = [name for name, (_, text) in merged_rules(own, tier).items() if text.over == "attributes"]
    if over and not spec.protected:
        found = f"No protected attribute is named, but {', '.join(f'`{name}`' for name in over)} compare them."
        yield spec.document.fault(("protected",), found, "Name at least one: these rules block otherwise.")


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
