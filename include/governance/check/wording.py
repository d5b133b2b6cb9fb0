"""Suggestions for names that are nearly right."""

import difflib
from collections.abc import Iterable


def did_you_mean(written: str, known: Iterable[str], otherwise: str) -> str:
    """Return ``Did you mean …?`` where a known name is close, else another remedy."""
    close = difflib.get_close_matches(written, list(known), n=1)
    return f"Did you mean `{close[0]}`?" if close else otherwise
