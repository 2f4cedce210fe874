"""On which device a process of a run works, by RecBole's keys ``use_gpu`` and ``gpu_id``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from recbole_peterrec.errors import ConfigError

NO_GPU = "-1"  # what CUDA itself takes for none


def gpu_numbers(value: Any) -> list[int] | None:
    """What ``gpu_id`` names: numbers of visible GPUs, an empty list for none, None for all.

    Args:
        value: a number, a list of numbers, text such as ``0,1``, an empty text, or None.

    Raises:
        ValueError: anything else, or a number twice.
    """
    if value is None:
        return None
    if str(value).strip() in ("", NO_GPU):
        return []
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    numbers = [int(str(part)) for part in parts]
    if any(isinstance(part, bool) for part in parts) or min(numbers, default=0) < 0:
        raise ValueError(f"{value!r} names no GPUs")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{value!r} names a GPU twice")
    return numbers


def device_of(
    config: Mapping[str, Any], local_rank: int = 0, local_size: int = 1
) -> torch.device:
    """The device of one of a machine's processes: a GPU of its own where there is one.

    Numbers are those of the GPUs that this process sees, so ``CUDA_VISIBLE_DEVICES``, which CUDA
    reads once and a scheduler may have set, is left alone (RecBole overwrites it).

    Raises:
        ConfigError: a GPU that is not there, or fewer than processes.
    """
    named = gpu_numbers(config["gpu_id"])
    if not config["use_gpu"] or named == [] or not torch.cuda.is_available():
        return torch.device("cpu")
    visible = torch.cuda.device_count()
    numbers = list(range(visible)) if named is None else named
    if max(numbers) >= visible:
        raise ConfigError(
            f"gpu_id names GPU {max(numbers)}, and this machine shows {visible}, numbered from 0"
        )
    if len(numbers) < local_size:
        raise ConfigError(
            f"{len(numbers)} GPUs for {local_size} processes; name one for each, such as "
            f"--gpu_id=0,1, use fewer processes, or --use_gpu=False"
        )
    return torch.device("cuda", numbers[local_rank])
