"""The rows of the table of targets, by name."""

from __future__ import annotations

from collections.abc import Callable

from measure import Row

from targets import (
    best,
    blocks,
    compiled,
    conure,
    device,
    patches,
    processes,
    source,
    tables,
    vocabulary,
)

TARGETS: dict[str, Callable[[], list[Row]]] = {
    "epoch": source.epoch,
    "block": blocks.block,
    "step": blocks.step,
    "exact": vocabulary.exact,
    "sampled": vocabulary.sampled,
    "tables": tables.table_step,
    "ranks": vocabulary.exact_ranks,
    "last": blocks.last_position,
    "patch": patches.patch_step,
    "head": patches.head_step,
    "conure": conure.conure_step,
    "validation": source.validation,
    "evaluation": source.sampled_evaluation,
    "processes": processes.processes,
}

NAMED: dict[str, Callable[[], list[Row]]] = {  # measured only when named
    "best": best.time_to_best,  # half an hour
    "compile": compiled.compiled_step,  # minutes of compiling
    "device": device.shares,  # of a GPU where there is one
}
