"""Where model patches go: the four insertions of PeterRec's Fig. 3 as two wrappers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.nn.residual import last_positions


class _Patched(nn.Module):
    """A module and the patch that was put to it."""

    def __init__(self, module: nn.Module, patch: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.patch = patch

    @property
    def reach(self) -> int:
        """As of the module."""
        return self.module.reach


class Serial(_Patched):
    """``patch(module(x))``."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As of the module."""
        return self.patch(self.module(x, *args, **kwargs))


class Parallel(_Patched):
    """``module(x) + patch(x)``."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As of the module; the patch reads the last positions, those that it gives."""
        y = self.module(x, *args, **kwargs)
        return y + self.patch(last_positions(x, len(y)))


@dataclass(frozen=True)
class Insertion:
    """One of Fig. 3 (b) to (e): which modules a patch wraps, how, and how many a block may have."""

    site: str
    wrapper: type[_Patched]
    counts: tuple[int, ...]


INSERTIONS: dict[str, Insertion] = {
    "serial_before_norm": Insertion("conv", Serial, (1, 2)),  # Fig. 3 (b)
    "serial_after_block": Insertion("branch", Serial, (1,)),  # Fig. 3 (c)
    "parallel_before_norm": Insertion("conv", Parallel, (1, 2)),  # Fig. 3 (d)
    "parallel_after_activation": Insertion("unit", Parallel, (2,)),  # Fig. 3 (e)
}


def insert_patches(
    encoder: Encoder,
    insertion: str,
    make_patch: Callable[[], nn.Module],
    count: int | None = None,
) -> list[nn.Module]:
    """Wrap the encoder's sites in place.

    Args:
        encoder: whose :meth:`Encoder.patch_sites` are wrapped.
        insertion: a key of :data:`INSERTIONS`.
        make_patch: builds a new patch.
        count: patches a block; None takes the most that the figure shows. One patch in a block of
            two sites goes to the last site.

    Returns:
        The new patches, first to last.

    Raises:
        ValueError: unknown insertion, a count that Fig. 3 does not have for it, or an encoder
            without such a site.
    """
    if insertion not in INSERTIONS:
        raise ValueError(
            f"patch_insertion must be one of {', '.join(INSERTIONS)}, got {insertion!r}"
        )
    place = INSERTIONS[insertion]
    count = max(place.counts) if count is None else count
    if count not in place.counts:
        raise ValueError(
            f"patch_count of {insertion} must be {' or '.join(map(str, place.counts))}, got {count}"
        )
    patches = []
    for block_sites in encoder.patch_sites(place.site):
        for name in block_sites[-count:]:
            parent, _, child = name.rpartition(".")
            owner = encoder.get_submodule(parent)
            patch = make_patch()
            setattr(owner, child, place.wrapper(getattr(owner, child), patch))
            patches.append(patch)
    if not patches:
        raise ValueError(
            f"patch_insertion {insertion}: this backbone has no such place for a patch"
        )
    return patches
