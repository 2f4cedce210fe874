"""The command line: RecBole's flags, one line for an error, exit status 2."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

from recbole_peterrec.errors import (
    INTERRUPTED,
    ConfigError,
    PeerError,
    UserError,
    permitted,
    told_of,
)
from recbole_peterrec.process import (
    bound_spinning,
    keep_memory,
    started_by_launcher,
    tells,
)

DEBUGGING = "--state=DEBUG"
USAGE = """\
usage: run_recbole_peterrec.py [--model=NAME] [--dataset=NAME] [--config_files="A.yaml B.yaml"]
                               [--KEY=VALUE ...]
       run_recbole_peterrec.py --suite=NAME|"[MODEL, MODEL]" --seeds="[1, 2, 3]" ...
       run_recbole_peterrec.py --resume=RUN_DIR
       torchrun --nproc_per_node=N run_recbole_peterrec.py ...

Without flags: the main job, PeterRec on MovieLens-100K (-m and -d are short for --model and
--dataset). Every key of properties/overall.yaml and of the model's and dataset's file is a flag.
--suite runs several models, --seeds each of them with several seeds; the table has means with
errors, and differences seed by seed.
Models: PeterRec and its strategies FineAll, FineLast, FineCLS, PeterZero, FineZero; Conure and what
it is compared with, SinMo, STL, FineSmax, MTL, Unprotected; the backbones NextItNetAR and GRec; and
RecBole's sequential models, such as SASRec.
--pretrained_path=RUN_DIR learns tasks on a saved backbone, --continue_from=RUN_DIR goes on with a
saved learner of Conure.
--resume goes on with a run that was interrupted, with its own configuration.
--nproc=N shares the work between N processes, as torchrun does.
--state=DEBUG also tells where an error came from.
"""


def _value(
    arguments: list[str], names: tuple[str, ...]
) -> tuple[str | None, list[str]]:
    """Take ``--name=value``, ``--name value`` or ``-n value`` out of the arguments."""
    rest, value = [], None
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, given = argument.partition("=")
        if name not in names:
            rest.append(argument)
            continue
        again = given if equals else next(waiting, "")
        if not equals and again.startswith("-"):  # after `=` it would be a name
            raise ConfigError(
                f"flag {name} needs a value, and {again} after it looks like a flag; if it is the "
                f"value, write {name}={again}"
            )
        if not again:
            raise ConfigError(f"flag {name} needs a value")
        if value not in (None, again):
            raise ConfigError(f"flag {name} is given twice with different values")
        value = again
    return value, rest


def command() -> NoReturn:
    """The command of the package: run, and end the process.

    A process of torchrun's ends at once, see :func:`recbole_peterrec.distributed.group.leave`.
    """
    bound_spinning()
    keep_memory()
    try:
        status = main()
    except Exception:  # a bug of ours, or of a model: its traceback is what to tell
        if not started_by_launcher():
            raise
        traceback.print_exc()  # the interpreter, which would, ends before that
        status = 1
    if started_by_launcher():
        from recbole_peterrec.distributed.group import leave

        leave(status)
    sys.exit(status)


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if set(arguments) & {"-h", "--help"}:
        print(USAGE, end="")
        return 0
    try:
        from recbole_peterrec.distributed import group

        with group.joined_from_environment():
            with permitted():
                text = _run(arguments)
            if group.is_first():
                print(text)
    except KeyboardInterrupt as interrupt:
        if tells():
            print(told_of(interrupt), file=sys.stderr)
        return INTERRUPTED
    except PeerError:  # the process that met it has told it
        group.let_others_end_first()
        return 2
    except UserError as error:
        if DEBUGGING in arguments:  # where it came from, should the fault be ours
            traceback.print_exception(error)
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: list[str]) -> str:
    """Run; returns what to print."""
    from recbole_peterrec.suite.dispatch import run, told

    model, arguments = _value(arguments, ("--model", "-m"))
    dataset, arguments = _value(arguments, ("--dataset", "-d"))
    files, arguments = _value(arguments, ("--config_files",))
    return told(run(model, dataset, (files or "").split(), arguments=arguments))


if __name__ == "__main__":
    command()
