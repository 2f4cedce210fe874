"""Whoever runs out of memory is told so."""

import pandas as pd
import pytest
import torch
from recbole.data.dataset import SequentialDataset

from recbole_peterrec import run
from recbole_peterrec.data import table
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.out_of_memory import out_of_memory
from recbole_peterrec.runs.sequential import SequentialRun
from tests.toy import settings, write_toy


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


def too_large(*args, **kwargs):
    raise MemoryError("Unable to allocate 9 GiB")


def torn(*args, **kwargs):
    raise pd.errors.ParserError("Error tokenizing data. C error: out of memory")


@pytest.mark.parametrize(
    ("model", "cache", "where", "told"),
    [
        (
            "SASRec",
            64,
            (SequentialDataset, "data_augmentation", too_large),
            r"^source: .*; leave out data by filters, or take a smaller MAX_ITEM_LIST_LENGTH$",
        ),
        (
            "NextItNetAR",
            64,
            (table.pd, "read_csv", too_large),
            r"^source: .*; set source_cache to 0, or leave out data by filters or recent_",
        ),
        (
            "NextItNetAR",
            0.0001,  # it is converted, whatever is set
            (table.pd, "read_csv", torn),
            r"^source: out of memory .*; leave out data by filters or recent_interactions$",
        ),
        (
            "PeterRec",
            0,
            (TaskDataset, "build", too_large),
            r"^task 'gender': out of memory .*; leave out some of its data by filters$",
        ),
    ],
)
def test_data_that_do_not_fit_are_told_with_what_helps(
    tmp_path, monkeypatch, model, cache, where, told
):
    owner, name, replacement = where
    monkeypatch.setattr(owner, name, replacement)
    keys = settings(write_toy(tmp_path), source_cache=cache, state="ERROR")
    if model == "SASRec":
        del keys["tasks"]
    with pytest.raises(TrainingError, match=told):
        run(model, "toy", config_dict=keys | {"checkpoint_dir": str(tmp_path / "s")})
    assert not list(tmp_path.glob("s/*-toy-*"))


def test_memory_that_ends_beside_training_is_one_line_too(tmp_path, monkeypatch):
    """Say while weights are made ready to be saved."""
    monkeypatch.setattr(SequentialRun, "execute", too_large)
    keys = settings(write_toy(tmp_path), state="ERROR", run_dir=str(tmp_path / "run"))
    with pytest.raises(TrainingError, match=r"^NextItNetAR: out of memory"):
        run("NextItNetAR", "toy", config_dict=keys)
