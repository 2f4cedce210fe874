"""Free memory is what no limit takes away: the machine's, a container's, a process's own."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from recbole_peterrec.distributed import exchange
from recbole_peterrec.runs import free_memory
from recbole_peterrec.runs.free_memory import available_memory

CPU = torch.device("cpu")
V1 = {
    "limit": "memory.limit_in_bytes",
    "usage": "memory.usage_in_bytes",
    "stat": "total_",
}
V2 = {"limit": "memory.max", "usage": "memory.current", "stat": ""}


@pytest.fixture
def machine(monkeypatch):
    """One with 1000 bytes free, for one process."""
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr(free_memory.psutil, "virtual_memory", lambda: free)


@pytest.fixture
def groups(tmp_path, monkeypatch, machine):
    """Control groups of both versions below a folder, and where this process is said to be."""
    tops = {1: tmp_path / "v1", 2: tmp_path / "v2"}
    monkeypatch.setattr(free_memory, "GROUPS", tops)
    monkeypatch.setattr(free_memory, "MEMBERSHIP", tmp_path / "membership")

    def write(version, path, limit, usage, inactive, active):
        names = {1: V1, 2: V2}[version]
        folder = tops[version] / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / names["limit"]).write_text(f"{limit}\n")
        (folder / names["usage"]).write_text(f"{usage}\n")
        stat = names["stat"]
        (folder / "memory.stat").write_text(
            f"anon 5\n{stat}inactive_file {inactive}\n{stat}active_file {active}\n"
        )

    def member(text):
        (tmp_path / "membership").write_text(text)

    return SimpleNamespace(write=write, member=member)


def test_free_memory_is_that_of_the_machine():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory(CPU) < total


def test_processes_of_a_machine_share_what_is_free(monkeypatch, machine):
    member = SimpleNamespace(local_size=4)
    monkeypatch.setattr(free_memory.group, "member", lambda: member)
    assert available_memory(CPU) == 250
    assert available_memory(CPU, alone=True) == 1000


def test_processes_hear_the_least_that_one_has_measured(monkeypatch, machine):
    monkeypatch.setattr(exchange, "gather_plain", lambda value: [value, 70, 90])
    assert available_memory(CPU) == 70


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_leaves_what_it_does_not_use_but_files(
    groups, version
):
    controllers = "memory" if version == 1 else ""
    groups.member(f"7:pids:/x\n4:{controllers}:/pod/box\n")
    groups.write(version, "pod/box", 500, 450, 30, 20)
    assert available_memory(CPU) == 100
    groups.write(version, "pod", 300, 280, 0, 0)  # of all boxes
    assert available_memory(CPU) == 20
    groups.write(version, "pod", 300, 310, 0, 0)
    assert available_memory(CPU) == 0


def test_a_container_that_sees_its_own_group_as_the_top_is_limited_too(groups):
    groups.member("4:memory:/docker/of/the/host\n")
    groups.write(1, "", 400, 100, 0, 0)
    assert available_memory(CPU) == 300


def test_no_limit_is_no_limit(groups):
    groups.member("0::/pod\n")
    groups.write(2, "pod", "max", 450, 0, 0)
    assert available_memory(CPU) == 1000
    groups.member("4:memory:/pod\n")
    groups.write(1, "pod", 9223372036854771712, 450, 0, 0)
    assert available_memory(CPU) == 1000


@pytest.mark.parametrize(
    "odd", [b"\n", b"1:memory\n", b"garbage\n", b"0::/caf\xe9\n", b"::\n"]
)
def test_a_membership_that_cannot_be_read_is_no_limit(groups, tmp_path, odd):
    (tmp_path / "membership").write_bytes(odd)
    assert available_memory(CPU) == 1000


def test_names_that_the_kernel_keeps_are_taken_back_too(groups, tmp_path):
    groups.member("0::/pod\n")
    groups.write(2, "pod", 500, 450, 10, 10)
    with open(tmp_path / "v2/pod/memory.stat", "a") as file:
        file.write("slab_reclaimable 100\n")
    assert available_memory(CPU) == 170


def test_a_machine_without_control_groups_has_none(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "MEMBERSHIP", tmp_path / "none")
    assert available_memory(CPU) == 1000


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_AS"), reason="a limit of Linux")
def test_a_limited_address_space_leaves_what_is_not_in_it():
    limited = (
        "import resource, psutil, torch\n"
        "from recbole_peterrec.runs.free_memory import available_memory\n"
        "used = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))\n"
        "print(available_memory(torch.device('cpu')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) <= 2**27


def test_what_torch_keeps_of_a_gpu_for_later_counts_as_free(monkeypatch):
    for name, value in (
        ("mem_get_info", (100, 1000)),
        ("memory_reserved", 700),
        ("memory_allocated", 300),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert available_memory(torch.device("cuda")) == 100 + 700 - 300
