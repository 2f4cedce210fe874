"""Run recbole_peterrec from the command line; ``--help`` shows the flags."""

import sys

from recbole_peterrec.cli import main

if __name__ == "__main__":
    sys.exit(main())
