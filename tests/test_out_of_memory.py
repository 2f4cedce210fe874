"""Whoever runs out of memory is told so."""

import pytest
import torch

from recbole_peterrec.errors import TrainingError
from recbole_peterrec.out_of_memory import out_of_memory


def test_running_out_of_memory_is_one_clear_line():
    wanted = "gender: out of memory .*train_batch_size"
    with pytest.raises(TrainingError, match=wanted), out_of_memory("gender"):
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="size"), out_of_memory("gender"):
        torch.ones(2) @ torch.ones(3)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory\nCompile with ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."),
    ],
)
def test_a_gpu_s_and_python_s_own_words_for_it_are_known(error):
    wanted = "^like: out of memory"
    with pytest.raises(TrainingError, match=wanted), out_of_memory("like"):
        raise error
