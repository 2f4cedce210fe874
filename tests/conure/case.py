"""Runs of Conure on the toy, and what they leave."""

from __future__ import annotations

import json

from recbole_peterrec import run
from tests.toy import TARGET, TASKS, settings

BUY = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "full"}}
GENDER, AGE = TASKS
HISTORIES = [["i1", "i2", "i3"], ["i7"], ["i5", "i9", "i9", "i11", "i2"]]


def keys(folder, run_dir, **changes):
    quiet = {"show_progress": False, "state": "ERROR", "run_dir": str(run_dir)}
    changes = {"epochs": 2, "tasks": [BUY, GENDER], **quiet, **changes}
    return settings(folder, **changes)


def learn(folder, run_dir, **changes):
    return run("Conure", "toy", config_dict=keys(folder, run_dir, **changes))


def contents(run_dir):
    return {
        str(p.relative_to(run_dir)): p.read_bytes()
        for p in run_dir.rglob("*")
        if p.is_file()
    }


def results(run_dir):
    return json.loads((run_dir / "results.json").read_text())
