"""What MTL learns of the source beside a task: windows of the users whose labels it learns."""

import pytest
import torch

from recbole_peterrec import run
from recbole_peterrec.config import Config
from recbole_peterrec.errors import DataError
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.transfer import TransferRun
from tests.toy import TARGET, TASKS, USER, settings, user_rows, write_table, write_toy

TASKS_OF_USERS = [*TASKS, {**TARGET, "train_share": 0.3}]


@pytest.fixture
def folder(tmp_path):
    return write_toy(tmp_path)


def begun(folder, **keys):
    keys = {"seed": 5, "tasks": TASKS_OF_USERS} | keys
    return TransferRun(
        Config("MTL", "toy", config_dict=settings(folder, protocol=None, **keys))
    )


def tokens(dataset, field, ids):
    return {str(dataset.field2id_token[field][number]) for number in ids}


def test_the_source_is_learned_from_users_with_a_training_label_alone(folder):
    run = begun(folder)
    for stage in run.tasks:
        train = stage.train_data
        labelled = tokens(train, "user_id", train.inter_feat["user_id"].tolist())
        windows = stage.windows._dataset
        found = tokens(windows, "user_id", windows.inter_feat["user_id"].tolist())
        everybody = run.source.loaders[0]._dataset
        others = tokens(everybody, "user_id", everybody.inter_feat["user_id"].tolist())
        assert found == labelled & others
        assert found < others
        batches = [batch["user_id"] for batch in stage.windows]
        assert sum(map(len, batches)) == len(windows)


def test_a_run_goes_on_with_the_windows_alone_that_it_began_with(folder):
    stage, *_ = (run := begun(folder)).tasks
    own = stage.data_digest()
    stage.windows = run.source.loaders[0]  # all users', as an earlier version learned
    assert stage.data_digest() != own


def test_users_of_whom_the_source_trains_none_are_told(folder):
    keys = {
        "eval_args": {"order": "RO", "split": {"RS": [0.4, 0.3, 0.3]}, "mode": "full"},
        "tasks": TASKS,
    }
    source = begun(folder, **keys).source
    held_out = set()
    for loader in source.loaders[1:]:
        users = loader._dataset.inter_feat["user_id"].tolist()
        held_out |= tokens(source.dataset, "user_id", users)
    rows = [row for row in user_rows(60, 2) if row[0] in held_out]
    write_table(folder / "toy" / "toy.user", USER, rows)
    told = "task 'gender': joint_coefficient learns the source from the users .* none of them"
    with pytest.raises(DataError, match=told):
        begun(folder, **keys)


def test_a_carried_encoder_is_tested_with_the_head_that_was_learned_with_it(
    folder, tmp_path, monkeypatch
):
    beside, tested = [], []
    make, test = TransferRun._beside, SourceStage.test

    def made(run, stage):
        beside.append(make(run, stage))
        return beside[-1]

    def seen(source):
        tested.append((source.model.encoder, source.model.output))
        return test(source)

    monkeypatch.setattr(TransferRun, "_beside", made)
    monkeypatch.setattr(SourceStage, "test", seen)
    keys = {"tasks": TASKS, "run_dir": str(tmp_path / "run"), "state": "ERROR"}
    keys |= {"carry_encoder": True, "joint_coefficient": 0.5, "tuning": "all"}
    run("PeterRec", "toy", config_dict=settings(folder, protocol=None, **keys))
    assert [head for _, head in tested] == [model.output for model, _ in beside]
    (_, first), (_, second) = tested
    assert not torch.equal(first.weight, second.weight)


def test_what_becomes_of_a_source_that_nothing_learns_is_not_told(folder, tmp_path):
    keys = settings(folder, tasks=TASKS, tuning="all", carry_encoder=True)
    keys |= {"pretrained": False, "run_dir": str(tmp_path / "run"), "state": "ERROR"}
    records = run("PeterRec", "toy", config_dict=keys)["results"]["tasks"]
    assert all("pretrain_test" not in record for record in records.values())
