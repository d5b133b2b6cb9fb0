"""What production was asked and answered, what came true, and that nobody changed it since.

In the order in which a prediction meets them: :mod:`record` (the form of a row), :mod:`spool` (from memory to disk),
:mod:`delivery` (from disk to PostgreSQL and the ledger), :mod:`labels` (what came true later), :mod:`reading` (a window
for the monitor), :mod:`verify` (is it what was written?) and :mod:`retention` (how long it stays).
"""
