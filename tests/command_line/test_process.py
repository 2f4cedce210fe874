"""What the command asks of OpenMP and of the allocator before torch is imported."""

import os
import platform
import subprocess
import sys

import pytest

from tests.toy import ROOT

of_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="its allocator")

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
        check=False,
    )
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize("entry", ["run_recbole_peterrec", "recbole_peterrec.cli"])
def test_threads_of_a_command_spin_shortly_while_they_wait(entry):
    flag = "--resume=nowhere"
    code = f"sys.argv = ['x', '{flag}']\nfrom {entry} import command\ncommand()"
    assert spins_when_torch_is_imported(code) == "spins 3000"
    assert spins_when_torch_is_imported(code, GOMP_SPINCOUNT="7") == "spins 7"
    assert spins_when_torch_is_imported(code, OMP_WAIT_POLICY="ACTIVE") == "spins None"


def test_the_library_leaves_the_threads_of_its_caller_alone():
    code = "import recbole_peterrec\nrecbole_peterrec.run"
    assert spins_when_torch_is_imported(code) == "spins None"


FAULTS = """
import ctypes, os, sys
from recbole_peterrec.process import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
libc.free.argtypes = [ctypes.c_void_p]
def step():
    pieces = [libc.malloc(24 * 2**20) for _ in range(4)]
    for piece in pieces:
        libc.memset(piece, 1, 24 * 2**20)
    for piece in pieces:
        libc.free(piece)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
before = resident()
for _ in range(3):
    step()
print(resident() - before)
print([os.environ.get(key) for key in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")])
"""


def kept_after_a_step(how, **environment):
    """MB of the 96 that a step used, and the variables for processes that are started."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MALLOC_", "GLIBC_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    number, variables = done.stdout.splitlines()
    return float(number), variables


@of_glibc
def test_memory_of_a_step_is_kept_for_the_next():
    assert kept_after_a_step("default") == (pytest.approx(0, abs=10), "[None, None]")
    told = "['33554432', '1073741824']"
    assert kept_after_a_step("keep") == (pytest.approx(96, abs=10), told)


@of_glibc
def test_settings_of_the_allocator_that_are_the_users_stay():
    found = kept_after_a_step("keep", MALLOC_TRIM_THRESHOLD_="131072")
    assert found == (pytest.approx(0, abs=10), "[None, '131072']")
