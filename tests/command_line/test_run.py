"""The whole job: exit status, output, and what is on disk afterwards."""

from __future__ import annotations

import json

import yaml

from recbole_peterrec.cli import main
from tests.command_line.case import OF_EVERY_RUN, PROFILES, STAGES, text_without_seconds
from tests.toy import SETTINGS, files_below, toy_flags


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
        epoch = "last" if stage in PROFILES else "best"
        assert f"{stage} {epoch} valid" in typed[0].stderr
        assert f"{stage} test result" in typed[0].stderr


def test_run_writes_below_saved_only(typed):
    assert [path.name for path in typed[1].iterdir()] == ["saved"]
    assert len(list((typed[1] / "saved").iterdir())) == 1


def test_run_directory_holds_exactly_the_files_of_the_design(run_dir):
    files = files_below(run_dir)
    tensorboard = {name for name in files if name.startswith("tensorboard/")}
    assert {name.split("/")[1] for name in tensorboard} == set(STAGES)
    assert files - tensorboard == {
        *OF_EVERY_RUN,
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
    assert text_without_seconds(tmp_path / "again") == text_without_seconds(run_dir)


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


def test_a_row_of_the_table_has_the_figures_of_results_json(run_dir):
    results = json.loads((run_dir / "results.json").read_text())
    lines = (run_dir / "results.md").read_text().splitlines()
    table = [[c.strip() for c in x.split("|")[1:-1]] for x in lines if x[:1] == "|"]
    rows = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[2:]}
    for name, record in (
        ("pretraining", results["pretrain"]),
        *results["tasks"].items(),
    ):
        row = rows[name]
        for split in ("valid", "test"):
            told = dict(part.split() for part in row[split].split(", "))
            assert told == {k: f"{v:.4f}" for k, v in record[split].items()}
        assert row["trained parameters"] == f"{record['trainable_parameters']:,}"
        assert row["epochs"] == str(record["epochs"])
        if name == "pretraining":
            continue
        sizes = (str(record["instances"][s]) for s in ("train", "valid", "test"))
        assert row["train/valid/test"] == "/".join(sizes)
        share = record["trainable_parameters"] / record["total_parameters"]
        assert row["of full tuning"] == f"{share:.2%}"
