"""``python3 -m backend``: see :mod:`.commands`."""

import sys

from .commands import main

sys.exit(main(sys.argv[1:]))
