"""What the command asks of OpenMP before torch is imported, when it is read."""

import os
import subprocess
import sys

import pytest

from tests.toy import ROOT

COMMAND = """
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print("spins", os.environ.get("GOMP_SPINCOUNT"))

sys.meta_path.insert(0, Watch())
"""


def spins_when_torch_is_imported(code, **environment):
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND + code],
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize("entry", ["run_recbole_peterrec", "recbole_peterrec.cli"])
def test_threads_of_a_command_spin_shortly_while_they_wait(entry):
    code = f"sys.argv = ['x', '--help']\nfrom {entry} import command\ncommand()"
    assert spins_when_torch_is_imported(code) == "spins 3000"
    assert spins_when_torch_is_imported(code, GOMP_SPINCOUNT="7") == "spins 7"
    assert spins_when_torch_is_imported(code, OMP_WAIT_POLICY="ACTIVE") == "spins None"


def test_the_library_leaves_the_threads_of_its_caller_alone():
    code = "import recbole_peterrec\nrecbole_peterrec.run"
    assert spins_when_torch_is_imported(code) == "spins None"
