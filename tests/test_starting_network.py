"""What a run starts from: a resumed one refuses another network than it began with."""

from __future__ import annotations

import os
import shutil

import pytest

from recbole_peterrec import UserModel, run
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.runs import source_stage
from tests.stopping import stopped_at
from tests.toy import TARGET, TASKS, left_by, settings, write_toy

WEIGHTS = ("backbone.safetensors", "pretraining_head.safetensors")


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


def test_later_runs_share_the_weights_of_their_backbone_on_disk(tmp_path):
    """Each of them is whole whatever becomes of the others."""
    data = write_toy(tmp_path / "data")
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))

    def keys(run_dir, **changes):
        return settings(data, state="ERROR", run_dir=str(run_dir)) | changes

    run("PeterRec", "toy", config_dict=keys(first, tasks=[TASKS[0]]))
    before = left_by(first)
    later = {"tasks": [TASKS[1]], "pretrained_path": str(first)}
    run("PeterRec", "toy", config_dict=keys(second, **later))
    for call in (4, 12):  # before the task is saved, and behind
        shutil.rmtree(third, ignore_errors=True)
        with stopped_at(call):
            run("PeterRec", "toy", config_dict=keys(third, **later))
        run(config_dict={"resume": str(third), "state": "ERROR"})
        assert left_by(third) == left_by(second)
    for name in WEIGHTS:
        assert os.path.samefile(first / name, second / name)
        assert os.path.samefile(first / name, third / name)
    assert left_by(first) == before
    history = ["i1", "i2", "i3"]
    scores = UserModel(third).scores("age", [history])
    shutil.rmtree(first)
    for name in WEIGHTS:
        (second / name).unlink()
    assert UserModel(third).scores("age", [history]).equal(scores)


def test_weights_that_changed_since_they_were_read_are_not_shared(
    tmp_path, monkeypatch
):
    data = write_toy(tmp_path / "data")
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for place, seed in ((first, 1), (third, 2)):
        keys = settings(data, state="ERROR", run_dir=str(place), seed=seed)
        run("NextItNetAR", "toy", config_dict={**keys, "tasks": None})
    expected = left_by(first)
    load = source_stage.load_backbone

    def replaced(*given):
        header = load(*given)
        for name in WEIGHTS:
            (third / name).replace(first / name)
        return header

    monkeypatch.setattr(source_stage, "load_backbone", replaced)
    keys = settings(data, state="ERROR", run_dir=str(second), tasks=[TASKS[0]])
    run("PeterRec", "toy", config_dict={**keys, "pretrained_path": str(first)})
    for name in WEIGHTS:
        assert (second / name).read_bytes() == expected[name]
