"""Run recbole_peterrec from the command line; ``--help`` shows the flags."""

from recbole_peterrec.cli import command

if __name__ == "__main__":
    command()
