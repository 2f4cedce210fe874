"""The run directory, training that cannot go on, and the command as typed in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.case import GENDER, holds, the_error
from tests.toy import command_line, files_below, toy_flags, write_config


def test_finished_run_is_not_written_over(case, pretrained):
    before = {
        name: (pretrained / name).read_bytes() for name in files_below(pretrained)
    }
    message = case.error(run_dir=str(pretrained), tasks=[GENDER])
    holds(message, str(pretrained), "already holds")
    assert {
        name: (pretrained / name).read_bytes() for name in files_below(pretrained)
    } == before


@pytest.mark.parametrize("key", ["run_dir", "checkpoint_dir"])
def test_place_that_is_a_file_is_refused(case, key):
    place = case.folder / "occupied"
    place.write_text("mine")
    holds(case.error(tasks=[GENDER], **{key: str(place)}), str(place))
    assert place.read_text() == "mine"


@pytest.mark.parametrize("stage", ["pretraining", "gender"])
def test_nan_loss_names_stage_epoch_and_batch(case, stage):
    keys = {"tasks": [GENDER], "train_batch_size": 16, "epochs": 3}
    if stage == "gender":
        keys["tasks"] = [{**GENDER, "learning_rate": 1e30}]
    else:
        keys["learning_rate"] = 1e30
    message = the_error(case.run("--run_dir=run", **keys), case.stderr)
    holds(message, stage, "NaN", "epoch", "batch", "learning_rate")
    left = files_below(case.here / "run")
    assert "results.json" not in left
    assert not any(name.startswith(f"tasks/{stage}") for name in left)
    if "nothing was saved" not in message:
        kept = next(
            word for word in message.replace(";", " ").split() if word.endswith(".pt")
        )
        assert Path(kept).is_file()


def test_error_in_a_shell_is_one_line_and_status_2(tmp_path, clean):
    config = write_config(tmp_path / "toy.yaml", clean)
    done = command_line([*toy_flags(config), "--poling=sum"], tmp_path / "here")
    message = the_error(done.status, done.stderr)
    holds(message, "'poling'", "did you mean 'pooling'")
    assert done.stdout == ""
    assert list((tmp_path / "here").iterdir()) == []


def test_dataset_that_is_not_there_says_so_in_a_shell(tmp_path):
    done = command_line(["-m", "GRec", "-d", "toy"], tmp_path / "here")
    holds(the_error(done.status, done.stderr), "'toy' not found", "data_path")
    assert list((tmp_path / "here").iterdir()) == []
