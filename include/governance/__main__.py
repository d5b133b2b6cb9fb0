"""``python -m governance``: the same as the command ``governance``."""

import sys

from governance.cli import main

sys.exit(main())
