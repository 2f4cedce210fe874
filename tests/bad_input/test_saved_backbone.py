"""Saved backbones that do not fit, are damaged or are something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.bad_input.case import GENDER, Case, holds


def error_with(case: Case, path: Path, **keys) -> str:
    return case.error(pretrained_path=str(path), tasks=[GENDER], **keys)


@pytest.fixture
def saved(pretrained, tmp_path) -> Path:
    """A copy of the finished run, to be broken."""
    return Path(shutil.copytree(pretrained, tmp_path / "saved run"))


def test_pretrained_path_that_is_not_there_is_named(case):
    holds(error_with(case, case.folder / "nowhere"), str(case.folder / "nowhere"))


@pytest.mark.parametrize("key", ["pretrained_path", "continue_from", "resume"])
def test_a_path_that_is_too_long_for_any_file_is_one_line(case, key):
    flag = f"--{key}=" + "/".join(["x" * 200] * 30)
    model = "Conure" if key == "continue_from" else "PeterRec"
    assert (
        case.run(flag, model=model, **({} if key == "resume" else {"tasks": [GENDER]}))
        == 2
    )
    assert "Traceback" not in case.stderr
    assert case.stderr.splitlines()[-1].startswith("error: ")


def test_pretrained_path_without_a_run_is_named(case):
    holds(error_with(case, case.data), str(case.data))


def test_backbone_of_other_items_is_refused(case, saved):
    with open(case.inter, "a") as file:
        file.write("u1\tanother\t3\t99\n")
    holds(error_with(case, saved), str(saved), "item vocabulary", "30", "31")


def test_backbone_of_as_many_other_items_is_refused(case, saved):
    case.inter.write_text(case.inter.read_text().replace("\ti7\t", "\tj7\t"))
    holds(error_with(case, saved), str(saved), "item vocabulary")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("embedding_size", 16, "16"),
        ("dilations", [2], "2"),
        ("block_num", 2, "dilations"),
        ("norm", "pre", "pre"),
        ("kernel_size", 2, "2"),
    ],
)
def test_backbone_of_another_architecture_is_refused(case, saved, key, value, shown):
    key_shown = "dilations" if key == "block_num" else key
    holds(error_with(case, saved, **{key: value}), str(saved), key_shown, shown)


def test_backbone_of_another_model_is_refused(case, saved):
    holds(error_with(case, saved, backbone="GRec"), str(saved), "NextItNetAR", "GRec")


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("model.safetensors", "the run of a model of RecBole"),
        ("config.yaml", "has not come so far; resume it"),
    ],
)
def test_a_run_without_a_backbone_is_told_for_what_it_is(case, tmp_path, left, told):
    other = tmp_path / "other"
    other.mkdir()
    (other / left).touch()
    holds(error_with(case, other), str(other / "backbone.json"), told)


@pytest.mark.parametrize("name", ["backbone.safetensors", "backbone.json"])
@pytest.mark.parametrize(
    "fault", ["missing", "truncated", "empty", "foreign", "pickle", "folder"]
)
def test_damaged_backbone_file_is_refused_by_name(case, saved, name, fault):
    path = saved / name
    content = path.read_bytes()
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault != "missing":
        path.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "foreign": b"\x89PNG\r\n\x1a\n" + bytes(64),
                "pickle": b"cos\nsystem\n(S'touch executed'\ntR.",
            }[fault]
        )
    holds(error_with(case, saved), str(path))


@pytest.mark.parametrize(
    "header",
    [
        {},
        [],
        {"format": 2},
        {"format": 1, "model": "NextItNetAR"},
        {
            "format": 1,
            "model": "NextItNetAR",
            "architecture": [],
            "vocabulary": 3,
            "pretrain": {},
        },
        {"format": 1, "model": 1, "architecture": {}, "vocabulary": {}, "pretrain": {}},
    ],
    ids=str,
)
def test_foreign_json_as_backbone_header_is_refused(case, saved, header):
    (saved / "backbone.json").write_text(json.dumps(header))
    holds(error_with(case, saved), str(saved))


@pytest.mark.parametrize("record", [3, "none", {}, {"valid": 1}], ids=str)
def test_foreign_pretraining_record_is_refused_before_anything_is_trained(
    case, saved, record
):
    header = json.loads((saved / "backbone.json").read_text()) | {"pretrain": record}
    (saved / "backbone.json").write_text(json.dumps(header))
    holds(error_with(case, saved), str(saved))


def test_tensors_of_another_shape_under_a_fitting_header_are_refused(case, saved):
    shutil.copy(saved / "pretraining_head.safetensors", saved / "backbone.safetensors")
    holds(error_with(case, saved), str(saved / "backbone.safetensors"))


@pytest.mark.parametrize("model", ["Conure", "Unprotected"])
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_a_loaded_network_may_have_learned_are_told(case, model, seed):
    eval_args = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "RO", "mode": "full"}
    keys = {"eval_args": eval_args, "tasks": [GENDER], "protocol": None}
    there = str(case.folder / "backbone")
    assert case.run(f"--run_dir={there}", "--seed=1", model="NextItNetAR", **keys) == 0
    flags = [f"--pretrained_path={there}", f"--seed={seed}"]
    assert case.run(*flags, model=model, **keys) == 0
    assert ("tested on other rows" in case.stderr) == (seed == 2)
