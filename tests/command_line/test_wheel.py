"""The wheel, installed and used in an empty directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command_line.case import STAGES, results_of
from tests.toy import ROOT, files_below, python, toy_flags


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder in which the wheel of the repository is installed, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("recbole_peterrec", "properties"):
        junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=junk)
    for name in (
        "setup.cfg",
        "pyproject.toml",
        "run_recbole_peterrec.py",
        "README.md",
        "LICENSE",
    ):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source / name)
    pip = ["-m", "pip", "--disable-pip-version-check", "-q"]
    build = [
        *pip,
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder / "dist",
    ]
    done = python(build, source, path=None)
    assert done.status == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    done = python(
        [*pip, "install", "--no-deps", "--target", folder / "lib", wheel], folder, None
    )
    assert done.status == 0, done.stderr
    return folder / "lib"


def test_wheel_carries_the_property_files(installed):
    carried = {
        name for name in files_below(ROOT / "properties") if name.endswith(".yaml")
    }
    found = files_below(installed / "recbole_peterrec" / "properties")
    assert {name for name in found if name.endswith(".yaml")} == carried
    assert (installed / "run_recbole_peterrec.py").is_file()


def test_installed_wheel_runs_from_an_empty_directory(installed, config, tmp_path):
    here = tmp_path / "here"
    where = "import recbole_peterrec; print(recbole_peterrec.__file__)"
    shown = python(["-c", where], here, installed)
    assert Path(shown.stdout.strip()).is_relative_to(installed)
    done = python(["-m", "recbole_peterrec", *toy_flags(config)], here, installed)
    assert done.status == 0, done.stderr
    (run_dir,) = (here / "saved").iterdir()
    assert list(results_of(run_dir)["tasks"]) == STAGES[1:]
    assert [path.name for path in here.iterdir()] == ["saved"]
