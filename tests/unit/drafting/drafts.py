"""A checkout without models, and small tables to draft folders from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from governance.catalog import ModelSpec, find_spec
from governance.drafting import attributes, folder, outcome, parts, profile
from governance.settings import Settings, load_settings


@dataclass
class Person:
    """Somebody at a terminal, who says what a test has them say, and remembers what they were asked."""

    confirms: list[bool] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.confirms.pop(0)

    def text(self, question: str) -> str:
        self.asked.append(question)
        return self.types.pop(0)


@dataclass(frozen=True)
class Desk:
    """A checkout whose folder of models is empty."""

    root: Path

    @property
    def settings(self) -> Settings:
        return load_settings({"GOVERNANCE_ROOT": str(self.root)})

    @property
    def models(self) -> list[str]:
        """What lies in the folder of models, hidden or not."""
        return sorted(path.name for path in self.settings.models.iterdir())

    def file(self, frame: pd.DataFrame, name: str = "rows.csv") -> Path:
        """Write a table."""
        path = self.root / name
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path

    def draft(
        self, data: "pd.DataFrame | str", target: str, person: Person | None = None, **given: Any
    ) -> folder.Drafted:
        """Draft ``it``; from a table through a file."""
        source = data if isinstance(data, str) else str(self.file(data))
        return folder.draft(self.settings, folder.Request("it", source, target, **given), person, self.root)

    def spec(self, name: str = "it") -> ModelSpec:
        return find_spec(self.settings, name)


def looked_at(frame: pd.DataFrame) -> profile.Profile:
    from governance.data.columns import normalise

    return profile.profile(normalise(frame), "rows.csv")


def outcome_of(frame: pd.DataFrame, target: str, task: Any = None, favourable: str | None = None) -> outcome.Outcome:
    return outcome.outcome_of(looked_at(frame), target, task, favourable, "rows.csv")


def parts_of(frame: pd.DataFrame, target: str, *, protected: tuple[str, ...] = (), persons: bool = True) -> parts.Parts:
    found = looked_at(frame)
    wanted = outcome.outcome_of(found, target, None, None, "rows.csv")
    return parts.parts_of(found, wanted, attributes.named(found, protected, target), persons=persons)


def applicants(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Loan applicants: sex, age, income, a job in words, and whether they were approved."""
    draw = np.random.default_rng(seed)
    income = draw.normal(50, 10, n).round(1)
    return pd.DataFrame(
        {
            "sex": draw.choice(["f", "m"], n),
            "age": draw.integers(20, 80, n),
            "income": income,
            "job": draw.choice(["cook", "clerk", "nurse"], n),
            "approved": (income + draw.normal(0, 8, n) > 50).astype(int),
        }
    )
