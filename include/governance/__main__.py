"""``python -m governance``: the same as the command ``governance``."""

from governance.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
