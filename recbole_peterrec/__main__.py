"""``python -m recbole_peterrec``."""

import sys

from recbole_peterrec.cli import main

sys.exit(main())
