"""A digest of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors, bit for bit: names, types, shapes and values.

    Args:
        tensors: of any shapes and types, on any device; their order does not matter.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
