"""What the commands of ``governance`` do: each returns an ``Answer``, which :mod:`governance.cli` prints."""
