"""Which instructions of the processor numpy sorts with: decided before numpy is imported, for it asks only then.

numpy sorts with AVX-512 where the processor has it. On AMD's fourth generation of Zen one of the instructions that this
needs is carried out in microcode, and sorting a million numbers takes 55 ms instead of the 10 ms that AVX2 takes. Where
the process is ours alone, as that of a command is, numpy is told to leave AVX-512 out there.

Results are the same to the last bit. Not guaranteed: any effect in a process that has imported numpy before, or on a
numpy that was built to need AVX-512.
"""

import os
import sys
from pathlib import Path

VARIABLE = "NPY_DISABLE_CPU_FEATURES"
AVX_512 = "X86_V4"
"""What numpy calls it."""

CPUS = Path("/proc/cpuinfo")
AMD, ZEN_3_AND_4 = "AuthenticAMD", "25"
"""Vendor and family; of these, only Zen 4 has AVX-512."""


def prefer_fast_sorting(cpus: Path = CPUS) -> None:
    """Have numpy sort with AVX2 where AVX-512 is slower; what the environment says already stays."""
    if "numpy" not in sys.modules and _is_zen_4(cpus):
        os.environ.setdefault(VARIABLE, AVX_512)


def _is_zen_4(cpus: Path) -> bool:
    try:
        first, _, _ = cpus.read_text().partition("\n\n")
    except OSError:  # another system than Linux
        return False
    lines = (line.partition(":") for line in first.splitlines())
    told = {name.strip(): value.strip() for name, _, value in lines}
    known = (told.get("vendor_id"), told.get("cpu family")) == (AMD, ZEN_3_AND_4)
    return known and "avx512f" in told.get("flags", "").split()
