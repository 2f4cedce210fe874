"""On a GPU no tensor is left on the other side, from the first step to the last file.

The GPU is pretended (:mod:`tests.pretended_gpu`), so that this is looked at on every machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from recbole_peterrec import UserModel, run
from recbole_peterrec.trainer.averaging import WeightAverage
from tests.pretended_gpu import WrongSide, pretended_gpu
from tests.stopping import Stopped, counting, stopped_at
from tests.toy import TARGET, TASKS, left_by, settings, write_toy

FULL = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "full"}}
DYNAMIC = {"distribution": "uniform", "sample_num": 1, "dynamic": True}
CHOSEN = {**TARGET, "train_neg_sample_args": DYNAMIC | {"candidate_num": 3}}
CASES = {
    "PeterRec": {"tasks": [FULL, *TASKS]},
    "FineCLS": {"tasks": [TARGET, TASKS[0]]},
    "FineAll": {"tasks": [CHOSEN], "table_updates": "rows", "softmax_samples": 5},
    "MTL": {"tasks": [FULL, TASKS[0]], "softmax_samples": 5},
    "Conure": {"tasks": [FULL, TASKS[0]], "prune_embeddings": True},
    "GRec": {"softmax_samples": 0.2, "clip_grad_norm": {"max_norm": 0.1}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def keys(folder, run_dir, **changes):
    """Without dropout, which a GPU draws in its own way."""
    common = {"epochs": 2, "weight_average": 0.5, "dropout_prob": 0.0, "use_gpu": True}
    quiet = {"show_progress": False, "state": "ERROR", "run_dir": str(run_dir)}
    return settings(folder, **common | quiet | changes)


@pytest.mark.parametrize("model", CASES)
def test_a_run_and_a_resumed_one_give_what_the_cpu_gives(folder, tmp_path, model):
    dirs = {name: tmp_path / name for name in ("cpu", "gpu", "stopped")}
    given = {name: keys(folder, path, **CASES[model]) for name, path in dirs.items()}
    run(model, "toy", config_dict=given["cpu"] | {"use_gpu": False})
    with pretended_gpu():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", writes := counting(None))
            run(model, "toy", config_dict=given["gpu"])
        with stopped_at(int(0.7 * writes.count)):
            run(model, "toy", config_dict=given["stopped"])
        run(config_dict={"resume": str(dirs["stopped"]), "state": "ERROR"})
    on_cpu, on_gpu, resumed = (left_by(path) for path in dirs.values())
    assert resumed == on_gpu
    assert json.dumps(on_gpu["results.json"]) == json.dumps(on_cpu["results.json"])


def test_a_saved_run_serves_and_is_built_on(folder, tmp_path):
    with pretended_gpu():
        first = run("Conure", "toy", config_dict=keys(folder, tmp_path / "first"))
        further = {"continue_from": first["run_dir"], "tasks": [FULL]}
        run("Conure", "toy", config_dict=keys(folder, tmp_path / "on", **further))
        model = UserModel(str(tmp_path / "on"), device="cuda")
        assert len(model.top("buy", ["i1", "i2"], number=3)) == 3
        assert model.top("gender", ["i1", "i2"], number=1)


def test_an_average_that_was_left_behind_is_seen(folder, tmp_path, monkeypatch):
    """What this module is for: the pretended GPU sees what a real one would."""
    monkeypatch.setattr(
        WeightAverage, "_beside_parameters", lambda self, tensors: tensors
    )
    given = keys(folder, tmp_path / "run", tasks=[FULL], epochs=3)
    replace = os.replace

    def stops(source, target):
        replace(source, target)
        if Path(target).parts[-2:] == ("buy", "progress.pt"):
            raise Stopped

    with pretended_gpu():
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(os, "replace", stops)
            run("FineAll", "toy", config_dict=given)
        with pytest.raises(WrongSide, match="GPU.*CPU|CPU.*GPU"):
            run(config_dict={"resume": given["run_dir"], "state": "ERROR"})


def test_it_refuses_what_cuda_refuses():
    with pretended_gpu():
        here, there = torch.ones(3), torch.ones(3, device="cuda")
        assert there.is_cuda and (there + 1).device.type == "cuda"
        assert (there * torch.tensor(2.0)).cpu().tolist() == [2, 2, 2]
        for mixed in (
            lambda: here + there,
            lambda: here[there.long()],
            lambda: there.numpy(),
            lambda: torch.rand(3, device="cuda", generator=torch.Generator()),
        ):
            with pytest.raises(WrongSide):
                mixed()
        assert there[here.long() - 1].is_cuda
