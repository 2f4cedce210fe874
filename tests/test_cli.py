"""The command line as a user types it: exit status, output, and what is on disk afterwards."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from recbole_peterrec.cli import main
from recbole_peterrec.version import __version__
from tests.toy import (
    ROOT,
    SETTINGS,
    TARGET,
    TASKS,
    Finished,
    command_line,
    files_below,
    python,
    toy_flags,
    write_config,
    write_toy,
)

PROFILES = ["gender", "age"]
STAGES = ["pretraining", *PROFILES, "buy"]
NUMBER = (int, float)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(tmp_path_factory, data) -> Path:
    """PeterRec with two profile tasks and a recommendation task."""
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    return write_config(path, data, tasks=[*TASKS, TARGET])


@pytest.fixture(scope="module")
def typed(tmp_path_factory, config) -> tuple[Finished, Path]:
    """The whole job, typed in an empty directory, and that directory."""
    here = tmp_path_factory.mktemp("typed")
    return command_line(toy_flags(config), here), here


@pytest.fixture(scope="module")
def run_dir(typed) -> Path:
    (found,) = (typed[1] / "saved").iterdir()
    return found


def results_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "results.json").read_text())


def without_seconds(run_dir: Path) -> str:
    return re.sub(
        r'("seconds": )[0-9.]+', r"\1-", (run_dir / "results.json").read_text()
    )


# --- the whole job


def test_run_ends_with_status_0_and_prints_the_table(typed, run_dir):
    done = typed[0]
    assert done.status == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = [
        line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line
    ]
    profiles = [row for task in PROFILES for row in (task, f"{task}: LabelCS")]
    printed = [row for row in rows if not set(row) <= set("-")]
    assert printed == ["stage", "pretraining", *profiles, "buy"]
    assert f"run directory: {run_dir}" in done.stdout.splitlines()


def test_run_tells_best_and_test_result_of_each_stage_as_recbole_does(typed):
    for stage in STAGES:
        assert f"{stage} best valid" in typed[0].stderr
        assert f"{stage} test result" in typed[0].stderr


def test_run_writes_below_saved_only(typed):
    assert [path.name for path in typed[1].iterdir()] == ["saved"]
    assert len(list((typed[1] / "saved").iterdir())) == 1


def test_run_directory_holds_exactly_the_files_of_the_design(run_dir):
    files = files_below(run_dir)
    tensorboard = {name for name in files if name.startswith("tensorboard/")}
    assert {name.split("/")[1] for name in tensorboard} == set(STAGES)
    assert files - tensorboard == {
        "config.yaml",
        "results.json",
        "results.md",
        "curves.csv",
        "curves.png",
        "run.log",
        "backbone.json",
        "backbone.safetensors",
        "pretraining_head.safetensors",
        "vocabulary.json",
        *(f"tasks/{task}/task.json" for task in STAGES[1:]),
        *(f"tasks/{task}/weights.safetensors" for task in STAGES[1:]),
    }
    folders = {path.name for path in run_dir.iterdir() if path.is_dir()}
    assert folders == {"tasks", "tensorboard"}


def test_resolved_config_runs_again_to_the_same_results(run_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = toy_flags(run_dir / "config.yaml")
    assert main([*flags, "--show_progress=False", "--run_dir=again"]) == 0
    assert without_seconds(tmp_path / "again") == without_seconds(run_dir)


def test_resolved_config_holds_the_values_used(run_dir):
    resolved = yaml.safe_load((run_dir / "config.yaml").read_text())
    for key, value in SETTINGS.items():
        if key not in ("tasks", "dilations"):
            assert resolved[key] == value, key
    assert resolved["backbone"] == "NextItNetAR"
    assert [task["name"] for task in resolved["tasks"]] == STAGES[1:]


def test_results_md_holds_the_table_that_was_printed(typed, run_dir):
    text = (run_dir / "results.md").read_text()
    assert "PeterRec" in text and "toy" in text and "2020" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table == [
        line for line in typed[0].stdout.splitlines() if line.startswith("|")
    ]


def test_the_majority_label_is_a_row_of_its_own(run_dir):
    told = json.loads((run_dir / "results.json").read_text())["tasks"]
    table = (run_dir / "results.md").read_text().splitlines()
    for task in PROFILES:
        (row,) = [line for line in table if line.startswith(f"| {task}: LabelCS ")]
        expected = told[task]["label_cs"]
        for split in ("valid", "test"):
            assert f"hit@1 {expected[split]['hit@1']:.4f}" in row


def test_curves_hold_every_stage_and_the_picture_is_one(run_dir):
    lines = (run_dir / "curves.csv").read_text().splitlines()
    assert lines[0] == "stage,epoch,metric,value"
    assert list(dict.fromkeys(line.split(",")[0] for line in lines[1:])) == STAGES
    png = (run_dir / "curves.png").read_bytes()
    assert png.startswith(b"\x89PNG") and png.endswith(b"IEND\xaeB`\x82")


def test_log_file_holds_config_and_results_without_colour_codes(run_dir):
    log = (run_dir / "run.log").read_text()
    assert "\033" not in log
    for stage in STAGES:
        assert f"{stage} test result" in log
    assert "embedding_size" in log


# --- results.json, a contract for scripts


def assert_metrics(metrics: dict, names: set[str]) -> None:
    assert set(metrics) == names
    assert all(name == name.lower() for name in metrics)
    assert all(isinstance(v, float) and 0 <= v <= 1 for v in metrics.values())


def test_results_name_the_run(run_dir):
    results = results_of(run_dir)
    assert list(results) == ["model", "dataset", "seed", "version", "pretrain", "tasks"]
    told = {key: results[key] for key in ("model", "dataset", "seed", "version")}
    assert told == {
        "model": "PeterRec",
        "dataset": "toy",
        "seed": 2020,
        "version": __version__,
    }
    assert list(results["tasks"]) == STAGES[1:]


def test_results_of_pretraining_obey_the_contract(run_dir):
    pretrain = results_of(run_dir)["pretrain"]
    assert_metrics(pretrain["valid"], {"mrr@5", "hit@5"})
    assert_metrics(pretrain["test"], {"mrr@5", "hit@5"})
    assert pretrain["epochs"] == 1 and isinstance(pretrain["epochs"], int)
    assert isinstance(pretrain["seconds"], float) and pretrain["seconds"] >= 0


@pytest.mark.parametrize(
    ("task", "kind", "labels", "rows", "metrics"),
    [
        ("gender", "profile", 2, 60, {"hit@1"}),
        ("age", "profile", 3, 60, {"hit@1"}),
        ("buy", "recommendation", 20, None, {"mrr@5", "hit@5"}),
    ],
)
def test_results_of_a_task_obey_the_contract(
    run_dir, data, task, kind, labels, rows, metrics
):
    record = results_of(run_dir)["tasks"][task]
    rows = rows or len((data / "shop" / "shop.inter").read_text().splitlines()) - 1
    assert record["kind"] == kind
    assert record["labels"] == labels
    assert list(record["instances"]) == ["train", "valid", "test"]
    assert all(isinstance(n, int) and n > 0 for n in record["instances"].values())
    assert sum(record["instances"].values()) == rows
    assert_metrics(record["valid"], metrics)
    assert_metrics(record["test"], metrics)
    assert isinstance(record["trainable_parameters"], int)
    assert isinstance(record["total_parameters"], int)
    assert 0 < record["trainable_parameters"] < record["total_parameters"]
    assert record["epochs"] == 1 and isinstance(record["epochs"], int)
    assert isinstance(record["seconds"], float) and record["seconds"] >= 0


def test_task_files_tell_labels_kind_and_metrics(run_dir):
    results = results_of(run_dir)["tasks"]
    told = {
        t: json.loads((run_dir / "tasks" / t / "task.json").read_text())
        for t in STAGES[1:]
    }
    assert told["gender"]["labels"] == ["F", "M"]
    assert told["age"]["labels"] == ["<25", "25-45", "45+"]
    assert sorted(told["buy"]["labels"]) == sorted(f"p{i}" for i in range(20))
    for task, header in told.items():
        assert header["kind"] == results[task]["kind"]
        assert header["metrics"] == {k: results[task][k] for k in ("valid", "test")}


# --- seeds


@pytest.fixture(scope="module")
def typed_again(tmp_path_factory, config) -> Path:
    here = tmp_path_factory.mktemp("again")
    done = command_line([*toy_flags(config), "--run_dir=other"], here)
    assert done.status == 0, done.stderr
    return here / "other"


def test_same_seed_gives_the_same_bytes_of_results(run_dir, typed_again):
    assert without_seconds(run_dir) == without_seconds(typed_again)
    assert (run_dir / "curves.csv").read_bytes() == (
        typed_again / "curves.csv"
    ).read_bytes()


def test_same_seed_gives_the_same_bytes_of_weights(run_dir, typed_again):
    weights = {name for name in files_below(run_dir) if name.endswith(".safetensors")}
    assert len(weights) == 5
    for name in sorted(weights):
        assert (run_dir / name).read_bytes() == (typed_again / name).read_bytes(), name


def test_another_seed_gives_other_weights(run_dir, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main([*toy_flags(config), "--seed=7", "--run_dir=r", "--show_progress=False"])
        == 0
    )
    assert results_of(tmp_path / "r")["seed"] == 7
    for name in ("backbone.safetensors", "tasks/gender/weights.safetensors"):
        assert (tmp_path / "r" / name).read_bytes() != (run_dir / name).read_bytes()


# --- flags


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


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
    assert "batch/s" not in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_tells_the_flags_and_runs_nothing(here, capsys, flag):
    assert main(["--model=Nonsense", flag]) == 0
    told = capsys.readouterr().out
    for word in ("--model", "--dataset", "--config_files", "--KEY=VALUE", "-m", "-d"):
        assert word in told
    assert list(here.iterdir()) == []


# --- RecBole's models as baselines


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
    common = {
        "config.yaml",
        "results.json",
        "results.md",
        "curves.csv",
        "curves.png",
        "run.log",
    }
    assert files == common | {"model.safetensors"}


# --- the wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder in which the wheel of the repository is installed, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("recbole_peterrec", "properties"):
        junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=junk)
    for name in (
        "setup.cfg",
        "pyproject.toml",
        "run_recbole_peterrec.py",
        "README.md",
        "LICENSE",
    ):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source / name)
    pip = ["-m", "pip", "--disable-pip-version-check", "-q"]
    build = [
        *pip,
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder / "dist",
    ]
    done = python(build, source, path=None)
    assert done.status == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    done = python(
        [*pip, "install", "--no-deps", "--target", folder / "lib", wheel], folder, None
    )
    assert done.status == 0, done.stderr
    return folder / "lib"


def test_wheel_carries_the_property_files(installed):
    carried = {
        name for name in files_below(ROOT / "properties") if name.endswith(".yaml")
    }
    found = files_below(installed / "recbole_peterrec" / "properties")
    assert {name for name in found if name.endswith(".yaml")} == carried
    assert (installed / "run_recbole_peterrec.py").is_file()


def test_installed_wheel_runs_from_an_empty_directory(installed, config, tmp_path):
    here = tmp_path / "here"
    where = "import recbole_peterrec; print(recbole_peterrec.__file__)"
    shown = python(["-c", where], here, installed)
    assert Path(shown.stdout.strip()).is_relative_to(installed)
    done = python(["-m", "recbole_peterrec", *toy_flags(config)], here, installed)
    assert done.status == 0, done.stderr
    (run_dir,) = (here / "saved").iterdir()
    assert list(results_of(run_dir)["tasks"]) == STAGES[1:]
    assert [path.name for path in here.iterdir()] == ["saved"]
