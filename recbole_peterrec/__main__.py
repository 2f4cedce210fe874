"""``python -m recbole_peterrec``."""

from recbole_peterrec.cli import command

command()
