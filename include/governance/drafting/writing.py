"""``model.yaml`` and ``policy.yaml`` of a draft, with comments that teach.

YAML is written by hand here, for no library keeps comments that it is not given; each scalar goes through
:func:`scalar`, so that a column called ``yes`` or ``a: b`` stays what it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.catalog import Protected, Tier
from governance.drafting.attributes import Attribute
from governance.drafting.outcome import Outcome, last_guess
from governance.drafting.parts import Parts
from governance.drafting.profile import Profile
from governance.drafting.training import Training

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*( [A-Za-z0-9_]+)*")
THRESHOLDS = (0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
DECIDE = "decide:"


@dataclass(frozen=True)
class Folder:
    """Everything that a folder says.

    Attributes:
        name: The model's name.
        owner: The login of who answers for it.
        developers: Logins of who builds it.
        tier: How much it may harm.
        why_tier: Why this tier.
        source: As model.yaml names it.
        why_source: What a person should know of it.
        no_persons: Why nobody is protected, where the rows are about no persons.
        profile: The data.
        outcome: What is to be learnt.
        protected: The protected attributes.
        parts: What part each column plays.
        training: How it is trained.
    """

    name: str
    owner: str
    developers: Sequence[str]
    tier: Tier
    why_tier: str
    source: str
    why_source: str
    no_persons: str | None
    profile: Profile
    outcome: Outcome
    protected: Sequence[Attribute]
    parts: Parts
    training: Training


def scalar(value: Any) -> str:
    """Return a value as YAML, on one line, also inside of brackets."""
    import yaml

    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return f"{value!r}" if not isinstance(value, float) else f"{value:g}"
    if PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return str(yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))).rstrip("\n")


def flow(value: Any) -> str:
    """Return plain data as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def model_yaml(folder: Folder) -> str:
    """Return ``model.yaml``."""
    sections = [
        _head(folder),
        _data(folder),
        _target(folder),
        _limits(folder),
        _protected(folder),
        _features(folder),
        _leaks(folder),
        _left_out(folder),
        _training(folder),
        _alternatives(folder),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def policy_yaml(folder: Folder) -> str:
    """Return ``policy.yaml``."""
    return f"""\
# What {folder.name} must show. The floor is include/policies/{folder.tier}.yaml, which people keep for all models of
# the tier: a model's own policy may tighten what it demands and add to it, never loosen it.
model: {folder.name}
version: 1.0.0
extends: {folder.tier}

# To tighten a rule, name it as the tier does and write the stricter limit; `governance check {folder.name}` says where
# one is looser, has no limit, or can never be broken. What this model achieves shows `governance try {folder.name}`.
rules: {{}}
"""


def _head(folder: Folder) -> str:
    target = folder.outcome.column.name
    return f"""\
# What this model is, for people and for the pipeline. Drafted by `governance new` from the data.
# Each `{DECIDE}` is a question that data cannot answer: answer it before others sign. `governance check {folder.name}`
# reads this with you, and lists what is open.
name: {folder.name}
title: {scalar(folder.name.replace("_", " ").capitalize())}
purpose: >-
  {DECIDE} predicts {_prose(target)}. Who uses it, for which decision, and who can overrule it?
owner: {{team: {scalar(f"{DECIDE} which team answers for it")}, person: {scalar(folder.owner)}}}
developers: {flow(list(folder.developers))}   # they may not sign for it
tier: {folder.tier}   # {folder.why_tier}; include/policies/{folder.tier}.yaml says what that demands
task: {folder.outcome.task}   # {folder.outcome.why}"""


def _data(folder: Folder) -> str:
    purpose = scalar(f"{DECIDE} what these data may be used for, such as credit decisioning")
    personal = ""
    if folder.parts.personal:
        lines = [f"\n    {scalar(name)}: {kind}" for name, kind in folder.parts.personal.items()]
        personal = f"\n  personal:   # of what kind; such columns never reach a model{''.join(lines)}"
    subject = (
        ""
        if folder.no_persons
        else "\n  # subject: which column tells whom a row is about, if any: one person's rows can then be erased"
    )
    return f"""\
use: {purpose}   # one of the purposes below
data:
  source: {scalar(folder.source)}   # {folder.profile.rows:,} rows; {folder.why_source}
  purposes: [{purpose}]
  contract: contract.json   # what the next delivery must look like; a breach stops the run{subject}{personal}"""


def _target(folder: Folder) -> str:
    outcome = folder.outcome
    lines = ["target:", f"  column: {scalar(outcome.column.name)}"]
    if outcome.undecided:
        guess = last_guess(outcome)
        said = f"{DECIDE} nothing says which value is good for people; the last of {_listed(outcome.values)} is a guess"
        lines.append(f"  favourable: {scalar(guess)}   # {said}")
    elif outcome.favourable is not None:
        why = f"good for people: {_prose(outcome.why_favourable)}"
        lines.append(f"  favourable: {scalar(outcome.favourable)}   # {why}")
    if outcome.classes:
        lines.append(f"  classes: {flow(list(outcome.classes))}   # in the order of the scores")
    lines.append(f"  meaning: {scalar(f'{DECIDE} what {outcome.column.name} means, and when it is known.')}")
    lines.append(f"  known_bias: {scalar(f'{DECIDE} whose judgement is it, and about whom is the outcome not known?')}")
    return "\n".join(lines)


def _limits(folder: Folder) -> str:
    rows, columns = folder.profile.rows, folder.profile.columns.values()
    missing = [column for column in columns if column.missing]
    gaps = "Nothing is missing." if not missing else f"{len(missing)} of {len(columns)} columns have values missing."
    alike = folder.profile.alike(folder.parts.personal)
    copies = f" {DECIDE} is each a case of its own?" if alike else ""
    return f"""\
# A reviewer signs on these two. What is known from the data stands here; the rest only you know.
limitations: >-
  Drafted from {rows:,} rows; {alike:,} of them are the same as another.{copies} {gaps}
  {DECIDE} from where and when are they, who is not in them, and for what must the model not be used?
assumptions: >-
  The next deliveries look like these data: the same columns, units and codes.
  {DECIDE} what else must stay true, and what do codes such as 0, 999 or an empty field mean?"""


def _protected(folder: Folder) -> str:
    if not folder.protected:
        said = folder.no_persons or f"{DECIDE} why the rows are about no persons"
        return f"no_persons: {scalar(said)}"
    lines = ["protected:   # never features; groups are compared by them, and kept apart from the data"]
    for attribute in folder.protected:
        groups = _prose(", ".join(f"{group} {size:,}" for group, size in attribute.sizes.items()))
        small = " (under 30: too few to judge)" if min(attribute.sizes.values()) < 30 else ""
        lines.append(f"  # {groups}{small}{''.join(f'; {note}' for note in attribute.notes)}")
        lines.append(f"  {scalar(attribute.name)}: {_form(attribute.written)}")
    names = [attribute.name for attribute in folder.protected]
    both = [name for name in ("race", "sex") if name in names]
    if len(both) == 2:
        lines.append("intersections: [[race, sex]]   # a model can be fair to each and unfair to both together")
    return "\n".join(lines)


def _form(written: Protected) -> str:
    if written.indicators:
        otherwise = {"otherwise": written.otherwise} if written.otherwise else {}
        if set(written.indicators) & {"column", "values", "bands", "indicators"}:
            return flow({"indicators": written.indicators, **otherwise})
        return flow({**written.indicators, **otherwise})
    if written.values or written.bands:
        return flow(
            {"column": written.column, **({"values": written.values} if written.values else {"bands": written.bands})}
        )
    return scalar(written.column)


def _features(folder: Folder) -> str:
    strongest = _prose(", ".join(folder.parts.strongest))
    lines = [f"features:   # name: what it means; the order is the order of the columns. {DECIDE} what each means"]
    lines.append(f"  # The strongest alone: {strongest}. {DECIDE} is each of them known before the outcome?")
    lines += [f"  {scalar(column.name)}: {scalar(column.in_words)}" for column in folder.parts.features]
    if folder.parts.proxies:
        lines += ["", "# Features that may stand for a protected attribute; dropping them is one of the alternatives."]
        lines.append(f"proxies: {flow(folder.parts.proxies)}")
    return "\n".join(lines)


def _leaks(folder: Folder) -> str:
    if not folder.parts.leaks:
        return ""
    head = "leaks:   # columns that tell the outcome, or are decided after it; never features"
    return "\n".join([head, *(f"  {scalar(name)}: {scalar(why)}" for name, why in folder.parts.leaks.items())])


def _left_out(folder: Folder) -> str:
    if not folder.parts.left_out:
        return ""
    head = (
        "# Left out, and why. A column that is named nowhere never reaches the model; move it up to make it a feature."
    )
    return "\n".join([head, *(f"#   {_prose(name)}: {why}" for name, why in folder.parts.left_out.items())])


def _training(folder: Folder) -> str:
    training = folder.training
    trusted = "\n".join(f"    - {name}" for name in training.trusted_types)
    return f"""\
training:
  seed: 0
  parameters: {flow(training.parameters)}   # what `fit` gets
  # {training.why}.
  evaluation: {flow(training.evaluation)}
  limits: {{seconds: 300, memory_mb: 4096}}   # of one fit; beyond, it is ended
  trusted_types:   # what skops may rebuild besides its own defaults; reviewed here, never read from the file
{trusted}"""


def _alternatives(folder: Folder) -> str:
    if folder.outcome.task != "binary_classification":
        return ""
    others = "\n".join(f"    - {flow(one)}" for one in folder.training.alternatives)
    return f"""\
alternatives:   # tried where only fairness rules fail: the same data, another threshold or another way to train
  thresholds: {flow(list(THRESHOLDS))}
  parameters:
{others}"""


def _prose(text: str) -> str:
    """Return a text of the data for a comment or a folded scalar: in one line, no ``#``, nothing unprintable."""
    line = " ".join(text.replace("#", "No.").split())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def _listed(values: Iterable[Any]) -> str:
    return " and ".join(_prose(str(value)) for value in values)
