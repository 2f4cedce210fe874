"""Running out of memory, as Python, torch and a GPU's libraries tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from recbole_peterrec.errors import TrainingError

SMALLER_BATCHES = "try a smaller train_batch_size or eval_batch_size"
SMALLER_MODEL = "use a smaller model"
# Of errors without a type of their own: torch's allocator of a CPU, CUDA and its libraries.
MESSAGES = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "'out of memory'",  # nccl, of a failure of CUDA's
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that no memory was left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in MESSAGES
    )


@contextlib.contextmanager
def out_of_memory(where: str, advice: str = SMALLER_BATCHES) -> Iterator[None]:
    """Turn running out of memory into one clear line.

    Raises:
        TrainingError: instead of torch's and Python's errors.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = (str(error) or "no memory is left").splitlines()[0]
        raise TrainingError(f"{where}: out of memory ({reason}); {advice}") from error
