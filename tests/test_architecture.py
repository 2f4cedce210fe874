"""Which module may import which, read from the sources."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy import ROOT

PACKAGE = ROOT / "recbole_peterrec"
SOURCES = sorted(PACKAGE.rglob("*.py"))
OURS = "recbole_peterrec"


def imports(path: Path, top_level: bool = False) -> set[str]:
    """Dotted names that a file imports; ``from a import b`` counts as ``a`` and ``a.b``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in run_at_import(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from run_at_import(node)


def below(names: set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(f"{package}.")}


def modules(folder: str) -> list[Path]:
    found = sorted((PACKAGE / folder).glob("*.py"))
    assert len(found) > 1
    return found


def ours_allowed(path: Path, *allowed: str) -> set[str]:
    """Our modules that a file imports beyond the allowed ones."""
    names = below(imports(path), OURS) - {OURS}
    return {
        name for name in names if not any(below({name}, f"{OURS}.{a}") for a in allowed)
    }


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_module_imports_ray_or_the_quick_start_of_recbole_at_module_level(path):
    names = imports(path, top_level=True)
    assert not below(names, "ray")
    assert not below(names, "recbole.quick_start")


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_library_does_not_import_its_tests_or_scripts(path):
    names = imports(path)
    assert not below(names, "tests")
    assert not below(names, "run_recbole_peterrec")


@pytest.mark.parametrize("path", modules("nn"), ids=named)
def test_nn_imports_torch_and_itself_only(path):
    assert ours_allowed(path, "nn") == set()
    foreign = {name.split(".")[0] for name in imports(path)} - set(
        sys.stdlib_module_names
    )
    assert foreign <= {"torch", OURS}


@pytest.mark.parametrize("path", modules("data"), ids=named)
def test_data_imports_no_model_trainer_or_runner(path):
    allowed = ("data", "distributed", "errors", "locks", "version", "writing")
    assert ours_allowed(path, *allowed) == set()


@pytest.mark.parametrize("path", modules("evaluation"), ids=named)
def test_evaluation_imports_no_model_trainer_or_runner(path):
    assert (
        ours_allowed(path, "evaluation", "nn", "data", "distributed", "errors") == set()
    )


@pytest.mark.parametrize("path", modules("model"), ids=named)
def test_model_imports_no_trainer_or_runner(path):
    assert ours_allowed(path, "model", "nn", "data", "errors") == set()


@pytest.mark.parametrize("name", ["task_network.py", "tuning.py"])
def test_network_of_a_task_can_be_used_without_recbole(name):
    path = PACKAGE / "model" / name
    assert not below(imports(path), "recbole")
    assert ours_allowed(path, "model.tuning", "nn") == set()


@pytest.mark.parametrize("path", modules("trainer"), ids=named)
def test_trainer_imports_no_runner(path):
    lower = ("nn", "model", "data", "evaluation", "distributed", "checkpoint")
    assert ours_allowed(path, "trainer", *lower, "errors", "writing") == set()


@pytest.mark.parametrize("path", modules("distributed"), ids=named)
def test_processes_know_neither_recbole_nor_what_they_share(path):
    assert not below(imports(path), "recbole")
    lower = ("errors", "out_of_memory", "process")
    assert ours_allowed(path, "distributed", *lower) == set()


def test_running_out_of_memory_knows_of_errors_only():
    assert ours_allowed(PACKAGE / "out_of_memory.py", "errors") == set()


@pytest.mark.parametrize("path", modules("settings"), ids=named)
def test_settings_know_no_data_model_or_run(path):
    allowed = ("settings", "evaluation.collector", "errors")
    assert ours_allowed(path, *allowed) == set()


@pytest.mark.parametrize("path", modules("stored"), ids=named)
def test_what_is_stored_knows_no_config_trainer_or_run(path):
    lower = ("nn", "model", "checkpoint", "registry", "errors", "version", "writing")
    assert ours_allowed(path, "stored", *lower) == set()


@pytest.mark.parametrize("path", modules("runs"), ids=named)
def test_runs_know_neither_the_command_line_nor_who_serves_them(path):
    above = ("cli", "quick_start", "serving", "suite")
    assert not {name for a in above for name in below(imports(path), f"{OURS}.{a}")}


def test_only_the_face_of_the_package_knows_suites():
    outside = [path for path in SOURCES if path.parent.name != "suite"]
    who = [named(p) for p in outside if below(imports(p), f"{OURS}.suite")]
    assert who == ["__init__.py", "cli.py"]


def test_significance_and_plan_of_a_suite_know_no_run():
    suite = PACKAGE / "suite"
    assert ours_allowed(suite / "significance.py") == set()
    below_runs = ("config", "settings", "registry", "errors", "writing")
    assert ours_allowed(suite / "plan.py", *below_runs) == set()


def test_config_knows_no_run():
    allowed = ("settings", "registry", "errors")
    assert ours_allowed(PACKAGE / "config.py", *allowed) == set()


def test_serving_knows_no_run_or_trainer():
    assert (
        ours_allowed(PACKAGE / "serving.py", "stored", "model", "histories", "errors")
        == set()
    )
    allowed = ("data.vocabulary", "checkpoint", "errors")
    assert ours_allowed(PACKAGE / "histories.py", *allowed) == set()


def test_errors_import_nothing_of_ours():
    assert ours_allowed(PACKAGE / "errors.py") == set()


def test_checkpoint_imports_the_errors_and_who_writes_only():
    allowed = ("distributed", "errors", "out_of_memory", "writing")
    assert ours_allowed(PACKAGE / "checkpoint.py", *allowed) == set()
    assert ours_allowed(PACKAGE / "writing.py", "errors") == set()


def test_results_and_curves_import_the_checkpoint_and_the_errors_only():
    assert (
        ours_allowed(PACKAGE / "results.py", "checkpoint", "curves", "errors") == set()
    )
    assert ours_allowed(PACKAGE / "curves.py", "checkpoint") == set()


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_nothing_that_runs_code_from_files_or_flags_is_called(path):
    """No eval, exec, pickle.load or unsafe torch.load anywhere in the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in (
            "eval",
            "exec",
            "pickle.load",
            "pickle.loads",
            "yaml.unsafe_load",
        )
        if called == "torch.load":
            safe = [k.value for k in node.keywords if k.arg == "weights_only"]
            assert [ast.unparse(value) for value in safe] == ["True"]
