"""RecBole's models through our command line."""

from __future__ import annotations

import pytest

from recbole_peterrec.cli import main
from tests.command_line.case import OF_EVERY_RUN, assert_metrics, results_of
from tests.toy import files_below, toy_flags, write_config


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec", "NextItNet"])
def test_baseline_of_recbole_runs_to_the_end(here, tmp_path, data, capsys, model):
    config = write_config(tmp_path / "toy.yaml", data, train_neg_sample_args=None)
    flags = ["--hidden_size=8", "--inner_size=8"] if model == "SASRec" else []
    assert main([*toy_flags(config, model), *flags, "--show_progress=False"]) == 0
    assert f"| {model} " in capsys.readouterr().out
    assert [path.name for path in here.iterdir()] == ["saved"]
    (run_dir,) = (here / "saved").iterdir()
    results = results_of(run_dir)
    assert results["model"] == model and results["tasks"] == {}
    assert_metrics(results["pretrain"]["valid"], {"mrr@5", "hit@5"})
    assert_metrics(results["pretrain"]["test"], {"mrr@5", "hit@5"})
    assert results["pretrain"]["epochs"] == 1
    files = {
        name for name in files_below(run_dir) if not name.startswith("tensorboard/")
    }
    assert files == {*OF_EVERY_RUN, "model.safetensors"}
