"""What has ended of a suite, and its report so far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_peterrec.errors import CheckpointError, ConfigError
from recbole_peterrec.runs import directory
from recbole_peterrec.runs.resuming import finished
from recbole_peterrec.settings.literals import read_yaml
from recbole_peterrec.suite import report
from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.version import __version__


@dataclass
class Progress:
    """What has ended of a suite.

    Attributes:
        suite: it.
        folder: its own.
        digest: of its ``config.yaml``.
        version: of the package with which it began.
        runs: ``results.json`` of each run that has ended, by entry and seed.
    """

    suite: Suite
    folder: Path
    digest: str
    version: str = __version__
    runs: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)

    def run_dir(self, entry: Entry, seed: int) -> Path:
        """Of one run."""
        return self.folder / entry.name / f"seed-{seed}"

    def require_places(self) -> None:
        """Refuse a folder in which something stands where a run is to be: it is not the suite's.

        Raises:
            ConfigError: something does.
        """
        for seed, entry in self.suite.runs():
            run_dir = self.run_dir(entry, seed)
            if os.path.lexists(run_dir):
                raise ConfigError(
                    f"run_dir {self.folder}: {run_dir} is there already, and is no run of this "
                    f"suite; move it away, or name another directory"
                )

    def has(self, entry: Entry, seed: int) -> bool:
        """Whether a run has ended."""
        return seed in self.runs.get(entry.name, {})

    def is_complete(self) -> bool:
        """Whether all runs have ended."""
        return all(self.has(entry, seed) for seed, entry in self.suite.runs())

    def add(self, entry: Entry, seed: int, results: dict[str, Any]) -> None:
        """A run has ended."""
        self.runs.setdefault(entry.name, {})[seed] = results

    def take_up(self, recorded: Mapping[str, Mapping[str, Any]]) -> None:
        """Read the results of what has ended before.

        Args:
            recorded: what ``suite.json`` has of runs that had ended, by entry and seed.

        Raises:
            CheckpointError: another run is in the place of one of the suite's, or results that are
                damaged or not those that it ended with.
        """
        for seed, entry in self.suite.runs():
            run_dir = self.run_dir(entry, seed)
            if not directory.has_ended(run_dir):
                continue
            found = read_yaml(run_dir / directory.CONFIG_FILE)
            wanted = (entry.model, self.suite.dataset, seed)
            if tuple(found.get(key) for key in ("model", "dataset", "seed")) != wanted:
                raise CheckpointError(
                    f"{run_dir} does not hold {entry.model} with seed {seed}; put that back, or "
                    f"move the folder away"
                )
            results = finished(run_dir)
            expected = recorded.get(entry.name, {}).get(str(seed))
            if expected is not None and results != expected:
                raise CheckpointError(
                    f"{run_dir / 'results.json'} does not hold what {entry.name} with seed {seed} "
                    f"ended with, as {report.FILE} has it; put that back, or move {run_dir} away "
                    f"to run it anew"
                )
            self.add(entry, seed, results)

    def results(self) -> dict[str, Any]:
        """What ``suite.json`` holds."""
        in_order = {
            entry.name: dict(sorted(self.runs[entry.name].items(), key=self._place))
            for entry in self.suite.entries
            if entry.name in self.runs
        }
        return report.results_of(self.suite, in_order, self.digest, self.version)

    def _place(self, run: tuple[int, Any]) -> int:
        return self.suite.seeds.index(run[0])

    def report(self) -> None:
        """Write what there is."""
        report.write_report(self.folder, self.results())
