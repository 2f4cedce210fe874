"""Suites on the toy, and what must not depend on clocks."""

from __future__ import annotations

from tests.toy import settings

MODELS = ["PeterRec", "FineAll", "SinMo", "NextItNetAR"]
QUIET = {"show_progress": False, "state": "ERROR"}


def keys(folder, run_dir, **changes):
    given = settings(folder, **QUIET, run_dir=str(run_dir))
    del given["seed"]
    return given | changes


def without_clocks(results):
    """What must not depend on interruptions."""
    if isinstance(results, dict):
        return {
            key: without_clocks(value)
            for key, value in results.items()
            if key not in ("seconds", "config", "pretraining s", "tasks s")
        }
    return results
