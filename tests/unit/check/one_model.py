"""A private copy of the loan folder, the policies and the people, to break one thing at a time."""

from dataclasses import dataclass
from pathlib import Path

from governance.settings import Settings, load_settings

INCLUDE = Path("include")
PLACES = {
    "model": INCLUDE / "models" / "loan" / "model.yaml",
    "policy": INCLUDE / "models" / "loan" / "policy.yaml",
    "contract": INCLUDE / "models" / "loan" / "contract.json",
    "train": INCLUDE / "models" / "loan" / "train.py",
    "people": INCLUDE / "people.yaml",
    "high": INCLUDE / "policies" / "high.yaml",
}


@dataclass(frozen=True)
class Checkout:
    """A checkout with one model in it."""

    root: Path

    @property
    def settings(self) -> Settings:
        return load_settings({"GOVERNANCE_ROOT": str(self.root)})

    def path(self, part: str) -> Path:
        return self.root / PLACES[part]

    def change(self, part: str, old: str, new: str) -> "Checkout":
        """Replace a text that must be there; ``Checkout`` again, so that changes can be chained."""
        text = self.path(part).read_text()
        assert old in text, f"{old!r} is not in {part}"
        self.path(part).write_text(text.replace(old, new, 1))
        return self

    def line_of(self, part: str, text: str) -> int:
        """The first line that contains a text."""
        lines = self.path(part).read_text().splitlines()
        return next(number for number, line in enumerate(lines, start=1) if text in line)
