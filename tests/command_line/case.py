"""What a run tells, and what must hold of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

PROFILES = ["gender", "age"]
STAGES = ["pretraining", *PROFILES, "buy"]
OF_EVERY_RUN = (
    *("config.yaml", "run.log", "results.json", "results.md"),
    *("curves.csv", "curves.png"),
)


def results_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "results.json").read_text())


def assert_metrics(metrics: dict, names: set[str]) -> None:
    assert set(metrics) == names
    assert all(name == name.lower() for name in metrics)
    assert all(isinstance(v, float) and 0 <= v <= 1 for v in metrics.values())


def text_without_seconds(run_dir: Path) -> str:
    return re.sub(
        r'("seconds": )[0-9.]+', r"\1-", (run_dir / "results.json").read_text()
    )
