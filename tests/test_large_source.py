"""A run on a converted source against the same run on the one that RecBole loads."""

import json
from pathlib import Path

import pytest

from recbole_peterrec import run
from tests.toy import TARGET, TASKS, settings, write_toy


@pytest.mark.parametrize(
    "eval_args",
    [
        {"mode": "uni5"},
        {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "mode": "full"},
    ],
)
def test_results_and_weights_are_the_same(tmp_path, eval_args):
    keys = settings(
        write_toy(tmp_path / "data"),
        tasks=[TASKS[0], TARGET],
        checkpoint_dir=str(tmp_path / "saved"),
        eval_args=eval_args,
        rm_dup_inter="last",
        show_progress=False,
        state="ERROR",
    )
    written = []
    for name, size in (("loaded", None), ("converted", 0), ("mapped", 0)):
        place = {"run_dir": str(tmp_path / name), "source_cache": size}
        run_dir = Path(run("PeterRec", "toy", config_dict=keys | place)["run_dir"])
        results = json.loads((run_dir / "results.json").read_text())
        for record in (results["pretrain"], *results["tasks"].values()):
            del record["seconds"]
        files = ("backbone.safetensors", "vocabulary.json")
        written.append((results, [(run_dir / file).read_bytes() for file in files]))
        assert (tmp_path / "saved" / "cache").exists() == (size is not None)
    assert written[0] == written[1] == written[2]
