"""The same seed gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_peterrec.cli import main
from tests.command_line.case import results_of, text_without_seconds
from tests.toy import command_line, files_below, toy_flags


@pytest.fixture(scope="module")
def typed_again(tmp_path_factory, config) -> Path:
    here = tmp_path_factory.mktemp("again")
    done = command_line([*toy_flags(config), "--run_dir=other"], here)
    assert done.status == 0, done.stderr
    return here / "other"


def test_same_seed_gives_the_same_bytes_of_results(run_dir, typed_again):
    assert text_without_seconds(run_dir) == text_without_seconds(typed_again)
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
