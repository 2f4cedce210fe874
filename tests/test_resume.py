"""A run that is stopped at any moment goes on and ends as an undisturbed one, bit for bit."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
import yaml

from recbole_peterrec import run
from recbole_peterrec.errors import CheckpointError, ConfigError, UserError
from recbole_peterrec.model import backbone
from recbole_peterrec.runs import directory
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.stored.learner import open_learner
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.trainer.progress import has_begun
from recbole_peterrec.trainer.transfer import TransferTrainer
from tests.stopping import Stopped, counting, stopped_at
from tests.toy import (
    TARGET,
    TASKS,
    command_line,
    files_below,
    left_by,
    python,
    settings,
    write_toy,
)

MODELS = ("PeterRec", "Conure", "GRec", "GRU4Rec")
# What has a state of its own beside these: the keys that switch it on.
VARIANTS = {
    "FineCLS": {"dropout_prob": 0.0},
    "FineAll": {
        "table_updates": "rows",
        "softmax_samples": 5,
        "embedding_init": "svd",
    },
    "MTL": {},
}
TARGET_FULL = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "full"}}


def config(folder, model, run_dir):
    keys = settings(
        folder,
        epochs=3,
        weight_average=0.5,
        tasks=[TARGET_FULL, TASKS[0]],
        run_dir=str(run_dir),
        show_progress=False,
        state="ERROR",
        **VARIANTS.get(model, {}),
    )
    if model == "GRU4Rec":  # it has no tasks, and names its width as it likes
        del keys["tasks"]
    return keys


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    """Run directory of each model's undisturbed run, and how many files it wrote on the way."""
    made = {}

    def make(model):
        if model not in made:
            run_dir = tmp_path_factory.mktemp(model) / "run"
            writes = counting(None)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "replace", writes)
                run(model, "toy", config_dict=config(folder, model, run_dir))
            made[model] = left_by(run_dir), writes.count
        return made[model]

    return make


@pytest.mark.parametrize(
    ("model", "share"),
    [
        *itertools.product(MODELS, (0.1, 0.35, 0.6, 0.85, 0.99)),
        *itertools.product(VARIANTS, (0.35, 0.7)),
        *itertools.product(
            ["FineAll"], (0.1, 0.15)
        ),  # before its first epoch is saved, and behind
    ],
)
def test_a_run_stopped_while_writing_ends_with_the_same_bytes(
    model, share, folder, undisturbed, tmp_path
):
    expected, writes = undisturbed(model)
    run_dir = tmp_path / "run"
    with stopped_at(max(2, int(share * writes))):
        run(model, "toy", config_dict=config(folder, model, run_dir))
    outcome = run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert left_by(run_dir) == expected
    assert outcome["results"]["model"] == model


def test_directions_are_sought_once(folder, undisturbed, tmp_path, monkeypatch):
    """They take half an hour at the papers' size."""
    _, writes = undisturbed("FineAll")
    run_dir = tmp_path / "run"
    with stopped_at(int(0.15 * writes)):
        run("FineAll", "toy", config_dict=config(folder, "FineAll", run_dir))
    assert has_begun({"resume": True, "run_dir": run_dir, "stage": PRETRAINING})
    monkeypatch.setattr(
        backbone, "item_directions", lambda *_: pytest.fail("sought again")
    )
    run(config_dict={"resume": str(run_dir), "state": "ERROR"})


def test_a_run_stopped_twice_ends_with_the_same_bytes(folder, undisturbed, tmp_path):
    expected, writes = undisturbed("Conure")
    run_dir = tmp_path / "run"
    attempts = (
        (0.3, {"model": "Conure", "dataset": "toy"}, config(folder, "Conure", run_dir)),
        (0.2, {}, {"resume": str(run_dir), "state": "ERROR"}),
    )
    for share, names, keys in attempts:
        with stopped_at(int(share * writes)):
            run(**names, config_dict=keys)
    run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert left_by(run_dir) == expected


def test_a_learner_that_is_resumed_has_all_that_it_had_all_the_time(
    folder, undisturbed, tmp_path
):
    _, writes = undisturbed("Conure")
    run_dir = tmp_path / "run"
    with stopped_at(int(0.95 * writes)):
        run("Conure", "toy", config_dict=config(folder, "Conure", run_dir))
    tasks, opened, replace = open_learner(run_dir)[0].tasks, [], os.replace
    assert len(tasks) == 3
    with pytest.MonkeyPatch.context() as patch:

        def looking(source, target):
            replace(source, target)
            opened.append(open_learner(run_dir)[0].tasks)

        patch.setattr(os, "replace", looking)
        run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert all(held == tasks for held in opened) and len(opened) > 3


def test_a_learner_that_goes_on_is_resumed_from_its_first_epoch(folder, tmp_path):
    """Nothing of the new task is written yet, all of the earlier ones is."""
    run(
        "Conure",
        "toy",
        config_dict=config(folder, "Conure", tmp_path / "first"),
    )
    ages = [{"name": "age", "kind": "profile", "field": "age", "bins": [25, 45]}]
    runs = [tmp_path / "whole", tmp_path / "stopped"]
    keys = [
        config(folder, "Conure", run_dir)
        | {"continue_from": str(tmp_path / "first"), "tasks": ages}
        for run_dir in runs
    ]
    run("Conure", "toy", config_dict=keys[0])
    with pytest.MonkeyPatch.context() as patch:

        def stop(*_, **__):
            raise Stopped

        patch.setattr(TransferTrainer, "_train_epoch", stop)
        with pytest.raises(Stopped):
            run("Conure", "toy", config_dict=keys[1])
    run(config_dict={"resume": str(runs[1]), "state": "ERROR"})
    assert left_by(runs[1]) == left_by(runs[0])


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_a_first_task_alone_ends_with_the_same_bytes(folder, tmp_path, share):
    whole, stopped = (
        config(folder, "Conure", tmp_path / name) | {"tasks": []}
        for name in ("whole", "stopped")
    )
    with pytest.MonkeyPatch.context() as patch:
        writes = counting(None)
        patch.setattr(os, "replace", writes)
        run("Conure", "toy", config_dict=whole)
    with stopped_at(max(2, int(share * writes.count))):
        run("Conure", "toy", config_dict=stopped)
    run(config_dict={"resume": str(tmp_path / "stopped"), "state": "ERROR"})
    assert left_by(tmp_path / "stopped") == left_by(tmp_path / "whole")


def test_a_run_stopped_while_it_tidies_up_has_ended(folder, tmp_path, monkeypatch):
    run_dir = tmp_path / "run"
    rmtree = directory.shutil.rmtree
    with monkeypatch.context() as patch:

        def stop(path, **keys):
            if Path(path).name != directory.ENDED:
                return rmtree(path, **keys)
            (best, *_) = sorted(Path(path).rglob("best.pt"))
            best.unlink()
            raise Stopped

        patch.setattr(directory.shutil, "rmtree", stop)
        with pytest.raises(Stopped):
            run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    outcome = run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert outcome["results"] == json.loads((run_dir / "results.json").read_text())
    assert not list(run_dir.glob(".training*"))


KILL_ITSELF = """
import os, signal, sys
replace, calls = os.replace, []
def kill_at(source, target):
    calls.append(target)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = kill_at
from recbole_peterrec.cli import main
main(sys.argv[2:])
"""


def test_a_killed_process_is_resumed_by_the_command_line(folder, undisturbed, tmp_path):
    _, writes = undisturbed("Conure")
    runs = {name: tmp_path / name for name in ("whole", "killed")}
    flags = {}
    for name, run_dir in runs.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config(folder, "Conure", run_dir)))
        flags[name] = ["--model=Conure", "--dataset=toy", f"--config_files={file}"]
    assert command_line(flags["whole"], tmp_path).status == 0
    killed = python(["-c", KILL_ITSELF, writes // 2, *flags["killed"]], tmp_path)
    assert killed.status == -9
    done = command_line([f"--resume={runs['killed']}"], tmp_path)
    assert done.status == 0, done.stderr
    assert left_by(runs["killed"]) == left_by(runs["whole"])
    assert "buy" in done.stdout


def test_resuming_a_finished_run_gives_its_results(folder, tmp_path):
    run_dir = tmp_path / "run"
    first = run("GRec", "toy", config_dict=config(folder, "GRec", run_dir))
    again = run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert again["results"] == first["results"]


@pytest.mark.parametrize("given", [{"model": "GRec"}, {"dataset": "shop"}])
def test_a_run_is_not_gone_on_with_as_another(folder, tmp_path, given):
    run_dir = tmp_path / "run"
    with stopped_at(4):
        run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    resume = {"resume": str(run_dir), "state": "ERROR"}
    for arguments, keys in (({}, given), (given, {})):
        with pytest.raises(ConfigError, match=f"not {next(iter(given.values()))}"):
            run(**arguments, config_dict=resume | keys)
    assert run("PeterRec", "toy", config_dict=resume)["results"]["tasks"]


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        '{"pretrain": 3, "tasks": {}}',
        '{"pretrain": {"valid": 3, "test": {}}, "tasks": {}}',
        '{"pretrain": {"valid": {}, "test": {}}}',
        '{"pretrain": {"valid": {}, "test": {}}, "tasks": {}}',
        '{"pretrain": {"valid": {}, "test": {}, "epochs": 0, "seconds": 0}, "tasks": {"t": {}}}',
    ],
)
def test_results_that_no_run_wrote_are_refused(folder, tmp_path, content):
    run_dir = tmp_path / "run"
    run("GRec", "toy", config_dict=config(folder, "GRec", run_dir))
    (run_dir / "results.json").write_text(content)
    with pytest.raises(UserError, match=r"results\.json"):
        run(config_dict={"resume": str(run_dir), "state": "ERROR"})


def test_another_run_does_not_begin_where_one_has_begun(folder, tmp_path):
    """Its states would be taken up by whoever goes on there."""
    run_dir = tmp_path / "run"
    keys = config(folder, "PeterRec", run_dir)
    with stopped_at(4):
        run("PeterRec", "toy", config_dict=keys)
    assert (run_dir / "training").is_dir()
    keys["data_path"] = str(tmp_path)  # no data are looked for, which may take long
    with pytest.raises(ConfigError, match="already holds a run"):
        run("PeterRec", "toy", config_dict={**keys, "learning_rate": 0.1})


def test_a_run_that_is_at_work_is_not_gone_on_with(folder, tmp_path):
    run_dir = tmp_path / "run"
    keys = config(folder, "PeterRec", run_dir)
    with stopped_at(4):
        run("PeterRec", "toy", config_dict=keys)
    resume = {"resume": str(run_dir), "state": "ERROR"}
    with directory.held(run_dir):
        before = files_below(run_dir)
        with pytest.raises(ConfigError, match="a run is at work there"):
            run(config_dict=resume)
        assert files_below(run_dir) == before
    assert run(config_dict=resume)["results"]["tasks"]


def test_a_forked_worker_does_not_hold_its_killed_parents_run(tmp_path):
    ours, theirs = multiprocessing.Pipe()
    with directory.held(tmp_path):
        worker = os.fork()
        if not worker:
            theirs.send("at work")
            theirs.poll(timeout=60)
            os._exit(0)
    assert ours.recv() == "at work"
    try:
        with directory.held(
            tmp_path
        ):  # would be refused while the worker has the folder
            pass
    finally:
        ours.send("end")
        os.waitpid(worker, 0)


def test_a_run_that_ends_while_another_process_prepares_is_not_begun_anew(
    folder, tmp_path, monkeypatch
):
    run_dir = tmp_path / "run"
    with stopped_at(4):
        run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    resume = {"resume": str(run_dir), "state": "ERROR"}
    held = directory.held

    @contextlib.contextmanager
    def late(path):
        monkeypatch.setattr(directory, "held", held)
        run(config_dict=resume)
        with held(path):
            yield

    monkeypatch.setattr(directory, "held", late)
    with pytest.raises(ConfigError, match="has ended meanwhile"):
        run(config_dict=resume)
    assert directory.has_ended(run_dir)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EBADF])
def test_a_run_goes_on_where_the_system_has_no_locks(tmp_path, monkeypatch, code):
    def no_locks(*_):
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with directory.held(tmp_path), directory.held(tmp_path):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("found", ["epochs: 1", "epochs: 1\ngiven: {keys: {}}"])
def test_another_config_is_not_written_over(folder, tmp_path, found):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.yaml").write_text(found)
    keys = config(folder, "PeterRec", run_dir)
    with pytest.raises(ConfigError, match=r"holds another config\.yaml"):
        run("PeterRec", "toy", config_dict=keys)
    assert contents(run_dir) == {"config.yaml": found.encode()}


def test_a_run_that_got_no_further_than_its_config_is_begun_again(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"mine")
    directory.require_unused(tmp_path, b"mine")
    (tmp_path / "run.log").touch()
    with pytest.raises(ConfigError, match="already holds a run"):
        directory.require_unused(tmp_path, b"mine")


def test_a_run_goes_on_where_its_data_and_its_first_folder_are_no_more(
    folder, tmp_path, monkeypatch, undisturbed
):
    data, first = tmp_path / "data", tmp_path / "first"
    shutil.copytree(folder, data)
    first.mkdir()
    monkeypatch.chdir(first)
    keys = config(data, "PeterRec", tmp_path / "run")
    with stopped_at(6):
        run("PeterRec", "toy", config_dict=keys)
    monkeypatch.chdir(tmp_path)
    data.rename(tmp_path / "moved")
    first.rmdir()
    first.touch()
    arguments = ["--resume=run", "--data_path=moved", "--state=ERROR"]
    run(arguments=arguments)
    assert left_by(tmp_path / "run") == undisturbed("PeterRec")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "moved", "run"]


def test_runs_that_start_at_once_get_directories_of_their_own(tmp_path):
    config = {"run_dir": None, "checkpoint_dir": tmp_path, "dataset": "D"}
    made = [directory.make(config, "M") for _ in range(3)]
    assert len(set(made)) == 3
    assert all(path.is_dir() for path in made)


def test_a_run_goes_on_elsewhere_with_the_paths_it_was_given(
    folder, tmp_path, monkeypatch, undisturbed
):
    run("PeterRec", "toy", config_dict=config(folder, "PeterRec", tmp_path / "first"))
    results = []
    for name, stop in (("whole", contextlib.nullcontext()), ("stopped", stopped_at(6))):
        monkeypatch.chdir(tmp_path)
        keys = config(os.path.relpath(folder), "PeterRec", tmp_path / name)
        keys["pretrained_path"] = Path("first")
        with stop:
            run("PeterRec", "toy", config_dict=keys)
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "elsewhere")
        run(config_dict={"resume": f"../{name}", "state": "ERROR"})
        results.append(left_by(tmp_path / name))
    assert results[0] == results[1]


def test_resume_refuses_a_changed_configuration_and_an_empty_place(folder, tmp_path):
    with pytest.raises(ConfigError, match="leave out epochs"):
        run(config_dict={"resume": str(tmp_path), "epochs": 4})
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        run(config_dict={"resume": str(tmp_path)})
    with pytest.raises(ConfigError, match="there is no folder .*/nowhere"):
        run(config_dict={"resume": str(tmp_path / "nowhere")})


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def more(content):
    """Another value of a key that nobody gave."""
    return content | {"head_dropout": 0.25}


def fewer_given(content):
    """A key, which tasks take from their user alone, is given no more."""
    given = dict(content["given"]["keys"])
    del given["epochs"]
    return content | {"given": content["given"] | {"keys": given}}


@pytest.mark.parametrize("change", [more, fewer_given])
def test_resume_refuses_a_config_file_that_was_changed(folder, tmp_path, change):
    keys = config(folder, "PeterRec", tmp_path / "run")
    with stopped_at(6):
        run("PeterRec", "toy", config_dict=keys)
    file = tmp_path / "run" / "config.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(change(content)))
    before = contents(tmp_path / "run")
    with pytest.raises(ConfigError, match="changed since the run began"):
        run(config_dict={"resume": str(tmp_path / "run")})
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("version", ["0.0.9", None], ids=str)
@pytest.mark.parametrize("call", [3, 6])
def test_a_run_of_another_version_is_not_gone_on_with(folder, tmp_path, version, call):
    run_dir = tmp_path / "run"
    with stopped_at(call):
        run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    file = run_dir / "training" / "data.json"
    begun = json.loads(file.read_text())
    other = begun | {"version": version} if version else begun["data"]
    file.write_text(json.dumps(other))
    before = contents(run_dir)
    by = f"version {version}" if version else "an earlier version"
    told = rf"begun by {by}, .* start anew with --config_files={run_dir}/config\.yaml$"
    with pytest.raises(ConfigError, match=told):
        run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert contents(run_dir) == before
    file.write_text(json.dumps(begun))
    assert run(config_dict={"resume": str(run_dir), "state": "ERROR"})["results"]


@pytest.mark.parametrize("changed", [{"data": [1]}, {"version": ["x"]}], ids=str)
def test_a_run_whose_beginning_is_told_otherwise_is_refused(folder, tmp_path, changed):
    run_dir = tmp_path / "run"
    with stopped_at(3):
        run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    file = run_dir / "training" / "data.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(CheckpointError, match=r"data\.json is not what a run writes"):
        run(config_dict={"resume": str(run_dir), "state": "ERROR"})


def test_a_run_of_another_version_that_has_ended_is_told_again(
    folder, tmp_path, monkeypatch
):
    run_dir = tmp_path / "run"
    first = run("GRec", "toy", config_dict=config(folder, "GRec", run_dir))
    monkeypatch.setattr(directory, "__version__", "99")
    again = run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert again["results"] == first["results"]


def swapped(lines):
    """Two rows change places."""
    return [lines[0], lines[2], lines[1], *lines[3:]]


def relabelled(lines):
    """A user's gender is another."""
    user, age, gender = lines[1].split("\t")
    return [lines[0], f"{user}\t{age}\t{'MF'[gender == 'M']}", *lines[2:]]


@pytest.mark.parametrize(
    ("file", "change", "stage"),
    [
        ("toy/toy.inter", swapped, "pretraining"),
        ("toy/toy.inter", lambda lines: lines[:-1], "pretraining"),
        ("toy/toy.user", relabelled, "gender"),
        ("shop/shop.inter", lambda lines: lines[:-1], "buy"),
    ],
)
@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_a_run_does_not_go_on_with_other_data(
    folder, tmp_path, model, file, change, stage
):
    shutil.copytree(folder, tmp_path / "data")
    keys = config(tmp_path / "data", model, tmp_path / "run")
    with stopped_at(6):
        run(model, "toy", config_dict=keys)
    before = files_below(tmp_path / "run")
    path = tmp_path / "data" / file
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(ConfigError, match=f"the data of {stage} are not those"):
        run(config_dict={"resume": str(tmp_path / "run"), "state": "ERROR"})
    assert files_below(tmp_path / "run") == before


@pytest.mark.parametrize("model", ["SASRec", "BERT4Rec", "DIEN"])
def test_a_model_of_recbole_does_not_go_on_with_other_data(folder, tmp_path, model):
    shutil.copytree(folder, tmp_path / "data")
    keys = config(tmp_path / "data", "GRU4Rec", tmp_path / "run")
    with stopped_at(3):
        run(model, "toy", config_dict=keys | {"hidden_size": 8, "inner_size": 8})
    path = tmp_path / "data/toy/toy.inter"
    text = path.read_text()
    path.write_text("\n".join(swapped(text.splitlines())) + "\n")
    with pytest.raises(ConfigError, match="the data of pretraining are not those"):
        run(config_dict={"resume": str(tmp_path / "run"), "state": "ERROR"})
    path.write_text(text)
    told = run(config_dict={"resume": str(tmp_path / "run"), "state": "ERROR"})
    assert told["results"]["pretrain"]["epochs"] == 3


def test_a_recommendation_task_by_cross_entropy_goes_on(folder, tmp_path):
    keys = config(folder, "PeterRec", tmp_path / "run")
    keys["tasks"] = [{**TARGET_FULL, "loss_type": "CE"}]
    run("PeterRec", "toy", config_dict=keys)
    again = {**keys, "run_dir": str(tmp_path / "again")}
    with stopped_at(6):
        run("PeterRec", "toy", config_dict=again)
    run(config_dict={"resume": str(tmp_path / "again"), "state": "ERROR"})
    assert left_by(tmp_path / "again") == left_by(tmp_path / "run")


def test_a_model_of_recbole_does_not_go_on_with_other_columns_of_items(
    folder, tmp_path
):
    shutil.copytree(folder, tmp_path / "data")
    file = tmp_path / "data/toy/toy.item"
    header = "item_id:token\tclass:token\n"
    file.write_text(header + "".join(f"i{i}\tc{i % 3}\n" for i in range(30)))
    keys = config(tmp_path / "data", "GRU4Rec", tmp_path / "run")
    keys["load_col"] = {**keys["load_col"], "item": ["item_id", "class"]}
    keys["selected_features"] = ["class"]
    with stopped_at(3):
        run("GRU4RecF", "toy", config_dict=keys)
    file.write_text(header + "".join(f"i{i}\tc{i % 4}\n" for i in range(30)))
    with pytest.raises(ConfigError, match="the data of pretraining are not those"):
        run(config_dict={"resume": str(tmp_path / "run"), "state": "ERROR"})


def test_what_a_killed_process_left_half_written_is_taken_away(folder, tmp_path):
    run_dir = tmp_path / "run"
    with stopped_at(4):
        run("PeterRec", "toy", config_dict=config(folder, "PeterRec", run_dir))
    remains = [
        run_dir / ".results.json.x1.unfinished",
        run_dir / "training" / ".best.pt.x2.unfinished",
    ]
    for file in remains:
        file.write_bytes(b"half")
    run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert not list(run_dir.rglob(".*.unfinished"))


@pytest.mark.parametrize("key", ["epochs", "seed", "learning_rate", "tasks"])
def test_resume_refuses_every_key_that_would_change_the_run(tmp_path, key):
    value = [] if key == "tasks" else 1
    with pytest.raises(ConfigError, match=f"leave out {key}"):
        run(config_dict={"resume": str(tmp_path), key: value})


def test_a_directory_that_another_run_makes_meanwhile_is_left_to_it(
    toy_config, tmp_path, monkeypatch
):
    config = toy_config(run_dir=None, checkpoint_dir=str(tmp_path / "saved"))
    mkdir, taken = Path.mkdir, []

    def raced(self, *args, **kwargs):
        if self.parent.name == "saved" and not taken:
            taken.append(self)
            mkdir(self)
        mkdir(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", raced)
    made = directory.make(config, "NextItNetAR")
    assert made == taken[0].with_name(f"{taken[0].name}-2")


def test_results_alone_are_those_of_a_run(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ConfigError, match="already holds a run"):
        directory.require_unused(tmp_path, b"mine")


@pytest.mark.parametrize(
    "name", ["backbone.json", "ownership.safetensors", "tasks/age/task.json"]
)
def test_networks_that_are_left_of_a_run_are_not_written_over(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    directory.require_unused(tmp_path, b"mine")  # an empty folder is nobody's
    file.touch()
    with pytest.raises(ConfigError, match=f"holds {name.split('/')[0]}.* of another"):
        directory.require_unused(tmp_path, b"mine")


@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_a_run_that_lost_what_it_would_go_on_with_has_not_ended(
    folder, tmp_path, model
):
    """Whenever after its first results: a folder of 4 GB is soon deleted."""
    run_dir = tmp_path / "run"
    run(model, "toy", config_dict=config(folder, model, run_dir))
    whole = json.loads((run_dir / "results.json").read_text())
    stages = list(whole["tasks"])
    parts = [{**whole, "tasks": {stages[0]: whole["tasks"][stages[0]]}}]
    if model == "Conure":
        pretrain = {k: v for k, v in whole["pretrain"].items() if "after" not in k}
        parts.append({**whole, "pretrain": pretrain})
    for part in parts:
        (run_dir / "results.json").write_text(json.dumps(part))
        with pytest.raises(CheckpointError, match="the folder training, from which"):
            run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    (run_dir / "results.json").write_text(json.dumps(whole))
    again = run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert again["results"] == whole


def test_a_run_that_goes_on_with_an_unfinished_learner_has_ended_all_the_same(
    folder, tmp_path
):
    """What the learner had kept is not tested again by it."""
    first, second = tmp_path / "first", tmp_path / "second"
    keys = {**config(folder, "Conure", first), "tasks": TASKS}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(ContinualRun, "_write_task", _stop_at("age"))
        run("Conure", "toy", config_dict=keys)
    later = {**TASKS[1], "name": "later"}
    keys = {**config(folder, "Conure", second), "continue_from": str(first)}
    keys["tasks"] = [later]
    ended = run("Conure", "toy", config_dict=keys)
    again = run(config_dict={"resume": str(second), "state": "ERROR"})
    assert again["results"] == ended["results"]
    assert list(again["results"]["tasks"]) == ["gender", "later"]


def _stop_at(task):
    write = ContinualRun._write_task

    def stopping(self, run_dir, learned):
        if learned.stage.name == task:
            raise Stopped
        write(self, run_dir, learned)

    return stopping
