"""The command line: RecBole's flags, one line for an error, exit status 2."""

from __future__ import annotations

import sys

USAGE = """\
usage: run_recbole_peterrec.py [--model=NAME] [--dataset=NAME] [--config_files="A.yaml B.yaml"]
                               [--KEY=VALUE ...]

Without flags: the main job, PeterRec on MovieLens-100K (-m and -d are short for --model and
--dataset). Every key of properties/overall.yaml and of the model's and dataset's file is a flag.
"""


def _value(
    arguments: list[str], names: tuple[str, ...], default: str
) -> tuple[str, list[str]]:
    """Take ``--name=value``, ``--name value`` or ``-n value`` out of the arguments."""
    rest, value, i = [], default, 0
    while i < len(arguments):
        name, equals, given = arguments[i].partition("=")
        if name in names and equals:
            value = given
        elif name in names:
            i += 1
            value = arguments[i] if i < len(arguments) else ""
        else:
            rest.append(arguments[i])
        i += 1
    return value, rest


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if set(arguments) & {"-h", "--help"}:
        print(USAGE, end="")
        return 0
    model, arguments = _value(arguments, ("--model", "-m"), "PeterRec")
    dataset, arguments = _value(arguments, ("--dataset", "-d"), "ml-100k")
    files, arguments = _value(arguments, ("--config_files",), "")

    from recbole_peterrec import run
    from recbole_peterrec.errors import UserError
    from recbole_peterrec.results import table

    try:
        outcome = run(model, dataset, files.split(), arguments=arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{table(outcome['results'])}\n\nrun directory: {outcome['run_dir']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
