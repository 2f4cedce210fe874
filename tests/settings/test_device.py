"""Which device the keys ``use_gpu`` and ``gpu_id`` choose, on a machine that seems to have GPUs."""

from __future__ import annotations

import os

import pytest
import torch

from recbole_peterrec.config import Config
from recbole_peterrec.distributed import group
from recbole_peterrec.distributed.group import Member
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.quick_start import _settle_on_device, _warn_of_no_gpu
from recbole_peterrec.settings.device import device_of, gpu_numbers

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def gpu(number):
    return torch.device("cuda", number)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (None, None),
        (0, [0]),
        ("0,1", [0, 1]),
        ("1, 0", [1, 0]),
        ([1, 0], [1, 0]),
        ("", []),
        (-1, []),
    ],
)
def test_gpu_id_is_read_in_every_form(value, numbers):
    assert gpu_numbers(value) == numbers


@pytest.mark.parametrize("wrong", ["one", [0, 0], "0,,1", [True], 0.5, {"a": 1}, -2])
def test_a_gpu_id_that_names_none_is_refused(wrong):
    with pytest.raises(ConfigError, match="gpu_id must be empty, or numbers"):
        Config(config_dict={"gpu_id": wrong})


@pytest.mark.parametrize(
    ("given", "device"),
    [
        ({}, gpu(0)),
        ({"use_gpu": False}, CPU),
        ({"gpu_id": ""}, CPU),
        ({"gpu_id": -1}, CPU),
        ({"gpu_id": 1}, gpu(1)),
        ({"gpu_id": [1, 0]}, gpu(1)),
        ({"gpu_id": [1, 0], "use_gpu": False}, CPU),
    ],
)
def test_a_run_of_one_process_takes_the_first_gpu_that_is_named(
    two_gpus, monkeypatch, given, device
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert Config(config_dict=given)["device"] == device
    flags = [f"--{key}={value}" for key, value in given.items()]
    assert Config(arguments=flags)["device"] == device
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


@pytest.mark.parametrize("flag", ["--gpu_id=1,0", "--gpu_id='1,0'", "--gpu_id=[1, 0]"])
def test_each_of_several_processes_takes_a_gpu_of_its_own(two_gpus, flag):
    config = Config(arguments=[flag, "--nproc=2"])
    assert [device_of(config, rank, 2) for rank in (0, 1)] == [gpu(1), gpu(0)]
    default = Config(arguments=["--nproc=2"])
    assert [device_of(default, rank, 2) for rank in (0, 1)] == [gpu(0), gpu(1)]


def test_a_process_takes_the_gpu_of_its_number_on_its_machine(two_gpus, monkeypatch):
    """The last of two machines' four."""
    monkeypatch.setattr(group, "_member", Member(3, 4, 1, 2, None))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    config = Config(arguments=["--nproc=2", "--world_size=4", "--group_offset=2"])
    _settle_on_device(config)
    assert config["device"] == gpu(1)


def test_a_machine_without_gpus_works_on_its_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = Config(config_dict={"gpu_id": "0,1", "nproc": 3})
    assert [device_of(config, rank, 3) for rank in range(3)] == [CPU] * 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"gpu_id": "0,1"}, 1),
        ({}, 0),  # RecBole's default names one
        ({"gpu_id": ""}, 0),
        ({"gpu_id": "0,1", "use_gpu": False}, 0),
    ],
)
def test_a_run_says_that_the_gpus_it_was_given_are_none(
    monkeypatch, caplog, given, told
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _warn_of_no_gpu(Config(config_dict=given))
    assert caplog.text.count("torch sees no GPU here") == told


def test_gpus_that_are_there_are_no_warning(two_gpus, caplog):
    _warn_of_no_gpu(Config(config_dict={"gpu_id": "0,1"}))
    assert not caplog.text


def test_a_gpu_that_is_not_there_is_told(two_gpus):
    with pytest.raises(ConfigError, match="names GPU 2, and this machine shows 2"):
        Config(config_dict={"gpu_id": 2})


def test_fewer_gpus_than_processes_are_told(two_gpus):
    with pytest.raises(ConfigError, match="2 GPUs for 3 processes"):
        device_of(Config(), 0, 3)
    with pytest.raises(ConfigError, match="1 GPUs for 2 processes"):
        device_of(Config(config_dict={"gpu_id": 1}), 0, 2)


def test_a_saved_config_chooses_what_the_run_chose(two_gpus):
    for given in ({}, {"gpu_id": [1, 0]}, {"gpu_id": "1"}, {"use_gpu": False}):
        config = Config(config_dict=given)
        again = Config(config_dict=config.resolved())
        assert again["device"] == config["device"]
