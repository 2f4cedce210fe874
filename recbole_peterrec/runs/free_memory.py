"""What is free of the memory of a device."""

from __future__ import annotations

import psutil
import torch

from recbole_peterrec.distributed import group


def available_memory(device: torch.device) -> int:
    """Bytes that are free on a device now, for this one of the processes that share it."""
    if device.type == "cuda":  # torch keeps what an earlier stage has freed
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    member = group.member()
    sharing = member.local_size if member else 1
    return psutil.virtual_memory().available // sharing
