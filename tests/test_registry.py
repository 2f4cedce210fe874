"""Stock RecBole with our backbones by name, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.toy import ROOT, python, settings, write_toy

IMPORT = """
import sys
import recbole_peterrec
import recbole_peterrec.cli
print([name for name in ("ray", "recbole.quick_start") if name in sys.modules])
"""

STOCK = """
import json, os, sys
import recbole.data.dataset as datasets
import recbole.trainer as trainers
import recbole.model.sequential_recommender as models
from recbole.utils import get_model, get_trainer
from recbole.utils.enum_type import ModelType

places = (datasets, trainers, models)
before = [dict(vars(place)) for place in places]
loaded = dict(sys.modules)
import recbole_peterrec
import recbole.config
recbole_peterrec.register()
wrapped = recbole.config.Config._load_internal_config_dict
recbole_peterrec.register()
told = {"wrapped_once": recbole.config.Config._load_internal_config_dict is wrapped}
told["new"] = [sorted(set(vars(p)) - set(old)) for p, old in zip(places, before)]
told["shadowed"] = [
    name for p, old in zip(places, before) for name in old if vars(p)[name] is not old[name]
]
told["replaced"] = [n for n, m in loaded.items() if sys.modules.get(n) is not m]
told["classes"] = {
    name: get_model(name).__module__ for name in ("NextItNet", "SASRec", "NextItNetAR", "GRec")
}
told["trainers"] = {
    name: get_trainer(ModelType.SEQUENTIAL, name).__module__ for name in ("SASRec", "GRec")
}
from recbole.config import Config
from recbole.quick_start import run_recbole
from recbole.utils import init_logger
import pytest
from tests.toy import python

keys = json.load(open(sys.argv.pop()))
told["stock_keys"] = [
    key for key in ("window_overlap", "tasks", "mask_ratio")
    if key in Config("SASRec", "toy", config_dict={**keys, "train_neg_sample_args": None})
]
told["unaided"] = {}
for model in ("NextItNetAR", "GRec"):
    try:
        Config(model, "toy", config_dict=keys)
    except ValueError as error:
        told["unaided"][model] = str(error)
keys["train_neg_sample_args"] = None  # as RecBole asks of its own models with loss_type CE
for model in ("NextItNetAR", "GRec"):
    config = Config(model, "toy", config_dict=keys)
    told[model] = {
        "window_overlap": config["window_overlap"],
        "block_num": config["block_num"],
        "result": run_recbole(model=model, dataset="toy", config_dict=keys),
    }
    told[model]["gpus"] = os.environ["CUDA_VISIBLE_DEVICES"]
    for mode in ("uni5", "pop5"):
        sampled = {"eval_args": {**config["eval_args"], "mode": mode}}
        outcome = run_recbole(model=model, dataset="toy", config_dict={**keys, **sampled})
        told[model][mode] = outcome["test_result"]
json.dump(told, open("told.json", "w"), default=float)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict:
    """What stock RecBole did after two registrations."""
    folder = tmp_path_factory.mktemp("stock")
    keys = settings(write_toy(folder / "data"), show_progress=False, state="ERROR")
    for key in ("tasks", "patch_reduction", "norm", "block_num", "softmax_samples"):
        del keys[key]  # of the property files, or of no interest to RecBole
    (folder / "keys.json").write_text(json.dumps(keys))
    done = python(["-c", STOCK, folder / "keys.json"], folder / "here")
    assert done.status == 0, done.stderr
    return json.loads((folder / "here" / "told.json").read_text())


def test_importing_the_package_imports_neither_ray_nor_the_quick_start(tmp_path):
    done = python(["-c", IMPORT], tmp_path / "here")
    assert done.status == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert list(Path(tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("model", ["NextItNetAR", "GRec"])
def test_stock_run_recbole_trains_and_evaluates_a_backbone_by_name(told, model):
    result = told[model]["result"]
    assert set(result["test_result"]) == {"mrr@5", "hit@5"}  # of our overall.yaml
    assert set(result["best_valid_result"]) == {"mrr@5", "hit@5"}
    assert result["best_valid_score"] == result["best_valid_result"]["mrr@5"]
    assert result["valid_score_bigger"] is True


@pytest.mark.parametrize("model", ["NextItNetAR", "GRec"])
def test_stock_run_recbole_shows_itself_the_gpus_that_it_always_does(told, model):
    assert told[model]["gpus"] == "0"


@pytest.mark.parametrize("mode", ["uni5", "pop5"])
@pytest.mark.parametrize("model", ["NextItNetAR", "GRec"])
def test_stock_run_recbole_ranks_against_sampled_negatives(told, model, mode):
    sampled, full = told[model][mode], told[model]["result"]["test_result"]
    assert set(sampled) == {"mrr@5", "hit@5"}
    assert sampled["hit@5"] >= full["hit@5"]  # five others are easier than all
    assert 0 < sampled["mrr@5"] <= sampled["hit@5"] <= 1


@pytest.mark.parametrize("model", ["NextItNetAR", "GRec"])
def test_stock_config_finds_our_property_files(told, model):
    properties = ROOT / "properties"
    overall = yaml.safe_load((properties / "overall.yaml").read_text())
    own = yaml.safe_load((properties / "model" / f"{model}.yaml").read_text())
    assert told[model]["window_overlap"] == overall["window_overlap"]
    assert told[model]["block_num"] == own["block_num"]


@pytest.mark.parametrize("model", ["NextItNetAR", "GRec"])
def test_stock_config_needs_nothing_but_the_names(told, model):
    """The default train_neg_sample_args of RecBole contradicts the backbones' loss_type CE."""
    assert model not in told["unaided"], told["unaided"].get(model)


def test_dataset_and_trainer_are_found_by_name_and_nothing_else_is_added(told):
    assert told["new"][0] == ["GRecDataset", "NextItNetARDataset"]
    assert told["new"][1] == ["GRecTrainer", "NextItNetARTrainer"]
    assert told["trainers"]["GRec"].startswith("recbole_peterrec.")
    assert told["trainers"]["SASRec"].startswith("recbole.")


def test_registering_twice_is_harmless(told):
    assert told["wrapped_once"]


def test_no_name_of_recbole_is_shadowed(told):
    assert told["shadowed"] == []
    assert told["replaced"] == []


def test_models_of_recbole_stay_its_own(told):
    classes = told["classes"]
    assert classes["NextItNet"] == "recbole.model.sequential_recommender.nextitnet"
    assert classes["SASRec"] == "recbole.model.sequential_recommender.sasrec"
    assert classes["NextItNetAR"].startswith("recbole_peterrec.")
    assert classes["GRec"].startswith("recbole_peterrec.")


def test_property_files_are_ours_for_our_models_only(told):
    assert told["stock_keys"] == []


@pytest.mark.parametrize("call", ["model_class('SASRec')", "register()"])
def test_looking_for_models_leaves_torch_s_anomaly_mode_off(call):
    code = (
        f"import torch; from recbole_peterrec.registry import *; {call}; "
        f"assert not torch.is_anomaly_enabled()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import recbole.trainer; recbole.trainer.GRecTrainer = object",
            "RecBole already has a GRecTrainer",
        ),
        (
            "import sys; sys.modules['recbole.model.sequential_recommender.grec'] = sys",
            "RecBole already has a model GRec",
        ),
    ],
    ids=["trainer", "model"],
)
def test_what_recbole_has_by_one_of_our_names_is_not_replaced(tmp_path, code, message):
    done = python(
        ["-c", f"{code}\nfrom recbole_peterrec import register\nregister()"], tmp_path
    )
    assert done.status != 0
    assert f"ConfigError: {message}" in done.stderr
