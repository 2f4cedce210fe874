"""Flags, files and what wins."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
import yaml

from recbole_peterrec import cli
from recbole_peterrec.cli import main
from tests.command_line.case import results_of
from tests.toy import toy_flags, write_config


def resolved_in(here: Path) -> dict:
    (run_dir,) = (here / "saved").iterdir()
    return yaml.safe_load((run_dir / "config.yaml").read_text())


@pytest.mark.parametrize(
    "names",
    [
        ["-m", "GRec", "-d", "toy"],
        ["-m=GRec", "-d=toy"],
        ["--model", "GRec", "--dataset", "toy"],
        ["--model=GRec", "--dataset=toy"],
    ],
    ids=" ".join,
)
def test_model_and_dataset_have_long_and_short_flags(here, tmp_path, data, names):
    config = write_config(tmp_path / "toy.yaml", data)
    assert main([*names, "--config_files", str(config), "--show_progress=False"]) == 0
    (run_dir,) = (here / "saved").iterdir()
    results = results_of(run_dir)
    assert (results["model"], results["dataset"], results["tasks"]) == (
        "GRec",
        "toy",
        {},
    )
    assert run_dir.name.startswith("GRec-toy-")


def test_flags_win_over_files_and_later_files_over_earlier(here, tmp_path, data):
    first = write_config(
        tmp_path / "1.yaml", data, embedding_size=4, kernel_size=5, norm="pre"
    )
    second = tmp_path / "2.yaml"
    second.write_text("kernel_size: 1\nembedding_size: 16\nmask_ratio: 2e-1\n")
    flags = [
        "-m",
        "GRec",
        "-d",
        "toy",
        f"--config_files={first} {second}",
        "--embedding_size=8",
    ]
    assert (
        main([*flags, "--show_progress=False", "--topk=[3]", "--valid_metric=MRR@3"])
        == 0
    )
    resolved = resolved_in(here)
    given = {
        k: resolved[k] for k in ("embedding_size", "kernel_size", "norm", "mask_ratio")
    }
    assert given == {
        "embedding_size": 8,
        "kernel_size": 1,
        "norm": "pre",
        "mask_ratio": 0.2,
    }
    (run_dir,) = (here / "saved").iterdir()
    assert set(results_of(run_dir)["pretrain"]["test"]) == {"mrr@3", "hit@3"}


def test_tasks_may_be_given_as_a_flag(here, config):
    tasks = "[{name: sex, kind: profile, field: gender, epochs: 2}]"
    assert main([*toy_flags(config), "--show_progress=False", f"--tasks={tasks}"]) == 0
    (run_dir,) = (here / "saved").iterdir()
    results = results_of(run_dir)
    assert results["pretrain"]["epochs"] == 1
    assert {name: task["epochs"] for name, task in results["tasks"].items()} == {
        "sex": 2
    }


def test_checkpoint_dir_moves_the_runs(here, tmp_path, data):
    config = write_config(tmp_path / "toy.yaml", data)
    flags = toy_flags(config, "GRec")
    assert main([*flags, "--show_progress=False", "--checkpoint_dir=elsewhere"]) == 0
    assert [path.name for path in here.iterdir()] == ["elsewhere"]
    assert len(list((here / "elsewhere").iterdir())) == 1


def test_runs_of_the_same_second_get_directories_of_their_own(here, tmp_path, data):
    config = write_config(tmp_path / "toy.yaml", data)
    for _ in range(3):
        assert main([*toy_flags(config, "GRec"), "--show_progress=False"]) == 0
    assert len(list((here / "saved").glob("*/results.json"))) == 3


def test_progress_bars_can_be_turned_off(here, tmp_path, data, capsys):
    config = write_config(tmp_path / "toy.yaml", data)
    assert main([*toy_flags(config, "GRec"), "--show_progress=False"]) == 0
    err = capsys.readouterr().err
    for part in ("epoch/s", "row/s", "it/s", "%|"):
        assert part not in err


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_tells_the_flags_and_runs_nothing(here, capsys, flag):
    assert main(["--model=Nonsense", flag]) == 0
    told = capsys.readouterr().out
    for word in ("--model", "--dataset", "--config_files", "--KEY=VALUE", "-m", "-d"):
        assert word in told
    models = Path(cli.__file__).parents[1] / "properties" / "model"
    every = {path.stem for path in models.glob("*.yaml")}
    assert every <= set(re.findall(r"\w+", told))
    assert list(here.iterdir()) == []


def test_an_error_is_one_line_and_debugging_tells_where_it_came_from(here, capsys):
    for flags, traced in ([], False), (["--state=DEBUG"], True):
        assert main(["--dataset=nowhere", *flags]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("error: ")
        assert ("Traceback (most recent call last):" in lines) == traced
        assert (len(lines) > 1) == traced


def test_a_folder_that_may_not_be_entered_is_one_line(monkeypatch, capsys):
    """Wherever it is met: the superuser, who may, cannot be refused by a real one."""

    def refused(arguments):
        raise PermissionError(errno.EACCES, "Permission denied", "saved/RUN/training")

    monkeypatch.setattr(cli, "_run", refused)
    assert cli.main(["--resume=saved/RUN"]) == 2
    told = capsys.readouterr().err
    assert told == "error: saved/RUN/training: Permission denied; mend that\n"
