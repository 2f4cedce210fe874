"""What a run starts from: a resumed one refuses another network than it began with."""

from __future__ import annotations

import shutil

import pytest

from recbole_peterrec import run
from recbole_peterrec.errors import ConfigError
from tests.stopping import stopped_at
from tests.toy import TARGET, TASKS, settings, write_toy


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("NextItNetAR", "PeterRec", "pretrained_path"),
        ("NextItNetAR", "Conure", "pretrained_path"),
        ("Conure", "Conure", "continue_from"),
    ],
)
def test_a_resumed_run_refuses_another_network_than_it_began_with(
    tmp_path, first, second, key
):
    data = write_toy(tmp_path / "data")

    def keys(folder, **changes):
        folder = str(tmp_path / folder)
        return settings(data, state="ERROR", run_dir=folder) | changes

    for folder, seed in (("one", 1), ("other", 2)):
        run(first, "toy", config_dict=keys(folder, seed=seed, tasks=[TASKS[0]]))
    start = tmp_path / "start"
    shutil.copytree(tmp_path / "one", start)
    begun = keys("begun", tasks=[TARGET, TASKS[1]], **{key: str(start)})
    with stopped_at(12):
        run(second, "toy", config_dict=begun)
    shutil.rmtree(start)
    shutil.copytree(tmp_path / "other", start)
    again = {"resume": str(tmp_path / "begun"), "state": "ERROR"}
    with pytest.raises(ConfigError, match=f"{key} does not hold the network any more"):
        run(config_dict=again)
    other, moved = ({**again, key: str(tmp_path / place)} for place in ("other", "one"))
    with pytest.raises(ConfigError, match=f"{key} does not hold the network any more"):
        run(config_dict=other)
    assert set(run(config_dict=moved)["results"]["tasks"]) >= {"buy", "age"}


@pytest.mark.parametrize("value", [None, "", "there"])
@pytest.mark.parametrize(
    ("model", "key"), [("PeterRec", "pretrained_path"), ("Conure", "continue_from")]
)
def test_a_resumed_run_gains_and_loses_no_start(tmp_path, model, key, value):
    data = write_toy(tmp_path / "data")
    keys = settings(data, state="ERROR", tasks=[TASKS[0]])
    first = "NextItNetAR" if model == "PeterRec" else model
    run(first, "toy", config_dict={**keys, "run_dir": str(tmp_path / "there")})
    start = {} if value else {key: str(tmp_path / "there")}
    begun = {**keys, "tasks": [TASKS[1]], "run_dir": str(tmp_path / "begun"), **start}
    with stopped_at(12):
        run(model, "toy", config_dict=begun)
    given = str(tmp_path / "there") if value else value
    again = {"resume": str(tmp_path / "begun"), "state": "ERROR", key: given}
    with pytest.raises(ConfigError, match=f"resume: {key} tells where"):
        run(config_dict=again)
    again[key] = start.get(key)  # as it began
    results = run(config_dict=again)["results"]
    assert (results["pretrain"]["epochs"] == 0) == (model == "PeterRec" and not value)
