"""``python -m recbole_peterrec``."""

from recbole_peterrec.cli import command

if __name__ == "__main__":  # and not where somebody looks through the package's modules
    command()
