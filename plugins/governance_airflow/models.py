"""What a DAG file needs to know of the model folders, and nothing more: read at every parse, so it must be quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from airflow.sdk import Asset
from croniter import croniter

from governance.settings import load_settings
from governance_airflow import notify

DAILY = ("0 6 * * *", "UTC")
"""When a model is looked at that says nothing of it."""


@dataclass(frozen=True)
class GovernedModel:
    """A model folder, as the DAGs see it.

    Attributes:
        name: The folder's name.
        title: What people call it.
        owner: The team that answers for it.
        tier: Its risk tier.
        roles: The roles that must sign; empty where the folder cannot be read, and then nothing is ever released.
        in_advance: The step that asks whether they signed in advance; none where the policy knows no such thing.
        asset: What other teams' DAGs are scheduled on: updated by every release.
        schedule: When it is looked at, as cron writes it, and in which time zone.
        retrained: When it is trained again without anybody asking, likewise; ``None`` where it is not.
        drill: When the way back is tried, as cron writes it, in UTC; ``None`` for by hand only.
    """

    name: str
    title: str
    owner: str
    tier: str
    roles: tuple[str, ...]
    asset: Asset
    schedule: tuple[str, str] = DAILY
    retrained: tuple[str, str] | None = None
    drill: str | None = None
    in_advance: tuple[str, ...] = ()


def governed_models(only: str | None = None) -> Iterator[GovernedModel]:
    """Yield the governed models.

    Args:
        only: The id of the one DAG that is asked for; other folders are not even read.
    """
    settings = load_settings()
    tier_policy = cache(partial(_policy_of_tier, settings.policies))  # many models, few tiers: each is read once
    for folder in _folders(settings.models, only):
        try:
            spec = _read(folder / "model.yaml")
            policy = _read(folder / "policy.yaml")
            roles, in_advance = _roles(policy, tier_policy), _in_advance(policy, tier_policy)
            facts = (str(spec["title"]), str(spec["owner"]["team"]), str(spec["tier"]))
            monitoring = spec.get("monitoring") or {}
            schedule = _schedule(monitoring) or DAILY
            retrained = _schedule(spec.get("retraining") or {}, usual=None)
            drill = _drill(monitoring)
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            # The DAG is there and its first task says what is wrong; the other models are not held up.
            roles, in_advance, schedule, retrained, drill = (), (), DAILY, None, None
            facts = (f"{folder.name}: cannot be read, see governance check", "platform", "unknown")
        asset = Asset(name=f"model_{folder.name}", uri=f"model://governance/{folder.name}")
        yield GovernedModel(folder.name, *facts, tuple(roles), asset, schedule, retrained, drill, in_advance)


def common(model: GovernedModel, kind: str, **task: Any) -> dict[str, Any]:
    """Return what the DAGs of a model have in common.

    Args:
        model: The model.
        kind: How the DAG's id begins.
        task: What its tasks have otherwise than those of other DAGs.
    """
    usual = {
        "owner": model.owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": kind != "rollback",  # who waits for a rollback must not wait longer each time
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": notify.failed,
    }
    return {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "tags": ["governance", kind, f"tier/{model.tier}"],
        "default_args": {**usual, **task},
    }


def _schedule(written: dict[str, Any], usual: str | None = DAILY[0]) -> tuple[str, str] | None:
    """Return a schedule; ``None`` where there is none, or a wrong one, for one folder must not stop all others."""
    schedule, timezone = written.get("schedule", usual), str(written.get("timezone", DAILY[1]))
    try:
        ZoneInfo(timezone)
        return (str(schedule), timezone) if schedule and croniter.is_valid(str(schedule)) else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _drill(written: dict[str, Any]) -> str | None:
    """Return when the way back is tried; never where it is written wrongly: `governance check` says so."""
    said = written.get("drill")
    return str(said) if said and croniter.is_valid(str(said)) else None


def _folders(models: Path, only: str | None) -> list[Path]:
    """Return the folders of all models, or that of the one DAG that is asked for, without a look at the others."""
    if only is None:
        return sorted(path.parent for path in models.glob("*/model.yaml"))
    folder = models / only.partition("_")[2]
    return [folder] if folder.parent == models and (folder / "model.yaml").is_file() else []


def _roles(policy: dict[str, Any], tier_policy: Callable[[str], Mapping[str, Any]]) -> Sequence[str]:
    own = (policy.get("approvals") or {}).get("roles") or {}
    return list({**tier_policy(policy["extends"])["approvals"]["roles"], **own})


def _in_advance(policy: dict[str, Any], tier_policy: Callable[[str], Mapping[str, Any]]) -> tuple[str, ...]:
    own = policy.get("standing_approvals") or {}
    known = tier_policy(policy["extends"]).get("standing_approvals") and not own.get("forbidden")
    return ("apply_standing_approval",) if known else ()


def _policy_of_tier(policies: Path, tier: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _read(policies / f"{tier}.yaml")
    return found


def _read(path: Path) -> Any:
    return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
