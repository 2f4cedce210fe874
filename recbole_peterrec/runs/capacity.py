"""How many weights Conure's tasks will find free, before anything is trained, and what they own."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.nn.ownership import (
    MOST_TASKS,
    OwnershipError,
    pruned_entries,
)
from recbole_peterrec.runs.pruning import AUTO, AUTO_RATIOS, ratios
from recbole_peterrec.runs.stage import Stage

SCARCE = 0.05  # share of free weights below which a run warns


def plan_capacity(
    learner: Learner, stages: Sequence[Stage], automatic: bool = False
) -> list[str]:
    """Go through all prunings by number only.

    With ``prune_ratio`` auto a task may keep half or a twentieth: what runs out if each keeps half
    is a warning, and what runs out all the same an error.

    Args:
        learner: as it is before the first of the tasks.
        stages: the tasks that will be learned, in order.
        automatic: whether ratios of earlier tasks of the run were searched for.

    Returns:
        Warnings of tasks that will, or may, find few free weights.

    Raises:
        ConfigError: a ratio that leaves a task nothing, no weight that is free, or too many tasks.
    """
    number = len(learner.tasks) + len(stages)
    if number > MOST_TASKS:
        raise ConfigError(f"a learner holds at most {MOST_TASKS} tasks, not {number}")
    automatic |= any(stage.config["prune_ratio"] == AUTO for stage in stages)
    remedy = _remedy(learner, automatic)
    keeps_least, *_, keeps_most = AUTO_RATIOS
    certain = _walk(learner, stages, keeps_least, remedy)
    try:
        return _walk(learner, stages, keeps_most, remedy)
    except ConfigError as error:
        return [*certain, f"if prune_ratio auto is {keeps_most:g} each time: {error}"]


def plan_again(learner: Learner, left: Sequence[Stage]) -> list[str]:
    """As :func:`plan_capacity`, in a run whose earlier ratios were searched for.

    Args:
        learner: between two tasks.
        left: the next task, and those after it.

    Raises:
        ConfigError: the next task cannot be learned. What a later one will lack is a warning.
    """
    plan_capacity(learner, left[:1], automatic=True)
    try:
        return plan_capacity(learner, left, automatic=True)
    except ConfigError as error:
        return [str(error)]


def _walk(
    learner: Learner, stages: Sequence[Stage], auto: float, remedy: str
) -> list[str]:
    """As :func:`plan_capacity`, with one ratio in the place of ``auto``."""
    free = {name: learner.owned(name).free() for name in learner.weights}
    size = {name: learner.stored(name).numel() for name in learner.weights}
    warnings, finds = [], "will"
    for stage in stages:
        task, config = stage.name, stage.config
        fullest = min(free, key=lambda name: free[name] / size[name])
        share = free[fullest] / size[fullest]
        if share < SCARCE:
            warnings.append(
                f"task {task!r} {finds} find {share:.1%} of {fullest} free; {remedy}"
            )
        ratio = config["prune_ratio"]
        if ratio == AUTO:
            ratio, finds = auto, "may"
        by_kind = ratios(config, ratio)
        for name, left in free.items():
            if not left:
                raise ConfigError(
                    f"task {task!r}: {name}: no free weight is left; {remedy}"
                )
            try:
                free[name] = pruned_entries(left, by_kind[learner.kind(name)])
            except OwnershipError as error:
                raise ConfigError(
                    f"task {task!r}: {name}: {error}; change prune_ratio or take a wider "
                    f"network"
                ) from error
    return warnings


def _remedy(learner: Learner, automatic: bool) -> str:
    """What leaves later tasks more weights."""
    larger = "larger prune_tolerance" if automatic else "larger prune_ratio"
    if learner.tasks:
        return (
            f"what the learner has kept stays: begin another with a {larger} or a wider "
            f"network"
        )
    if automatic:
        return f"take a {larger} for earlier tasks or a wider network"
    return "raise the prune_ratio of earlier tasks or take a wider network"


def capacity_table(learner: Learner, task: str) -> str:
    """How much of each weight each task owns, for the log, after a task is kept.

    A row a task, and a column for all weights that are owned alike: most kernels are, and a learner
    may have a hundred tasks.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for weight, of in learner.shares().items():
        owners = list(of)
        alike.setdefault(tuple(f"{share:.1%}" for share in of.values()), []).append(
            weight
        )
    names = [
        first if not others else f"{first} and {len(others)} more"
        for first, *others in alike.values()
    ]
    table = tabulate(
        zip(owners, *alike, strict=True), ["owner", *names], tablefmt="github"
    )
    free = f"{learner.capacity_free():.1%} of the weights are free"
    return f"{task} is kept; {free}\n{table}"
