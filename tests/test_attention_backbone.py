"""PeterRec and Conure know no backbone: they learn with one that only the tests have."""

from __future__ import annotations

import json
import shutil

import pytest
from recbole.model.layers import TransformerLayer
from torch import nn

from recbole_peterrec import UserModel, registry, run
from recbole_peterrec.checkpoint import load_tensors
from recbole_peterrec.errors import ConfigError
from tests.attention_backbone import AttentionAR
from tests.toy import TARGET, TASKS, settings, write_toy

NAME = AttentionAR.__name__
HISTORIES = [["i1", "i2", "i3"], ["i7"]]


@pytest.fixture(autouse=True)
def known(monkeypatch, tmp_path):
    """The name in the registry, and its property file beside the shipped ones."""
    properties = shutil.copytree(registry.properties_folder(), tmp_path / "properties")
    keys = (properties / "model" / "NextItNetAR.yaml").read_text()
    (properties / "model" / f"{NAME}.yaml").write_text(keys)
    monkeypatch.setitem(registry.MODELS, NAME, AttentionAR.__module__)
    monkeypatch.setattr(registry, "BACKBONES", (*registry.BACKBONES, NAME))
    monkeypatch.setattr(registry, "properties_folder", lambda: properties)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def learn(folder, run_dir, model, **changes):
    keys = {
        "backbone": NAME,
        "show_progress": False,
        "state": "ERROR",
        "run_dir": str(run_dir),
        "patch_insertion": "serial_before_norm",
        "prune_ratio": 0.5,
        "tasks": [TASKS[0], TARGET],
    }
    return run(model, "toy", config_dict=settings(folder, **(keys | changes)))


def test_it_is_pretrained_alone_and_taken_up_by_peterrec(folder, tmp_path):
    learn(folder, tmp_path / "backbone", NAME, tasks=[])
    before = (tmp_path / "backbone" / "backbone.safetensors").read_bytes()
    run_dir = tmp_path / "run"
    taken = {"pretrained_path": str(tmp_path / "backbone")}
    told = learn(folder, run_dir, "PeterRec", **taken)["results"]
    assert (run_dir / "backbone.safetensors").read_bytes() == before
    header = json.loads((run_dir / "backbone.json").read_text())
    assert (header["model"], header["architecture"]["positions"]) == (NAME, 32)
    patches = 2 * (8 * 2 + 2 + 2 * 8 + 8)  # two of 8 -> 2 -> 8
    assert told["tasks"]["gender"]["trainable_parameters"] == patches + 8 * 2 + 2
    served = UserModel(run_dir)
    assert served.scores("gender", HISTORIES).shape == (2, 2)
    assert len(served.top("pretraining", ["i1", "i2"], 3)) == 3


def test_its_blocks_are_compiled(folder, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self)))
    learn(folder, tmp_path, NAME, tasks=[], compile=True)
    assert compiled == [TransformerLayer]


def test_its_tables_are_updated_by_rows(folder, tmp_path):
    told = learn(folder, tmp_path, NAME, tasks=[], table_updates="rows")["results"]
    assert told["pretrain"]["epochs"] == 1


@pytest.mark.parametrize("model", ["FineAll", "FineLast", "FineCLS", "MTL"])
def test_strategies_need_nothing_else_of_it(folder, tmp_path, model):
    told = learn(folder, tmp_path / "run", model)["results"]["tasks"]
    assert set(told) == {"gender", "buy"}


def test_conure_prunes_keeps_and_continues_it(folder, tmp_path):
    learn(folder, tmp_path / "first", "Conure", tasks=[TASKS[0]])
    more = {"continue_from": str(tmp_path / "first"), "tasks": [TARGET]}
    told = learn(folder, tmp_path / "more", "Conure", **more)["results"]
    owners = load_tensors(tmp_path / "more" / "ownership.safetensors")
    assert len(owners) == 6
    assert {int(owner.max()) for owner in owners.values()} == {3}
    for task in ("gender", "buy"):
        record = told["tasks"][task]
        assert record["test_after_all"] == record["test"]
    old, new = (UserModel(tmp_path / name) for name in ("first", "more"))
    for task in ("pretraining", "gender"):
        assert old.scores(task, HISTORIES).equal(new.scores(task, HISTORIES))


def test_a_run_of_a_property_file_that_extends_a_backbone_is_served(folder, tmp_path):
    file = registry.properties_folder() / "model" / "MyNet.yaml"
    file.write_text("extends: NextItNetAR\nnorm: pre\n")
    learn(folder, tmp_path / "run", "MyNet", tasks=[])
    assert len(UserModel(tmp_path / "run").top("pretraining", ["i1"], 3)) == 3


def test_a_place_that_it_does_not_have_is_named_before_it_is_trained(folder, tmp_path):
    with pytest.raises(ConfigError, match="serial_after_block: this backbone has no"):
        learn(folder, tmp_path, "PeterRec", patch_insertion="serial_after_block")
