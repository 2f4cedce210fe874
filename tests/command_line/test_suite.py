"""A suite, as a user types it."""

from __future__ import annotations

import json

from tests.toy import ROOT, command_line, python


def flags(config) -> list[str]:
    return [
        "--dataset=toy",
        f"--config_files={config}",
        "--suite=[NextItNetAR, {name: wide, model: NextItNetAR, embedding_size: 16}]",
        "--run_dir=mine",
    ]


def test_a_suite_prints_a_row_a_model_and_goes_on(config, tmp_path):
    done = command_line(flags(config), tmp_path)
    assert done.status == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["NextItNetAR", "wide"]
    assert f"run directory: {tmp_path / 'mine'}" in done.stdout
    again = command_line(["--resume=mine"], tmp_path)
    assert again.status == 0, again.stderr
    assert again.stdout == done.stdout
    results = json.loads((tmp_path / "mine" / "suite.json").read_text())
    assert results["seeds"] == [2020]
    file = tmp_path / "mine" / "wide" / "seed-2020" / "results.json"
    assert results["runs"]["wide"]["2020"] == json.loads(file.read_text())


def test_a_suite_under_torchrun_is_refused_by_one_line(config, tmp_path):
    """Its processes would each begin the same runs."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = ROOT / "run_recbole_peterrec.py"
    done = python([*torchrun, script, *flags(config)], tmp_path)
    assert done.status != 0
    assert done.stderr.count("error: a suite starts the processes of its runs") == 1
    assert not (tmp_path / "mine").exists()
