"""What cannot fit into memory is refused before it starts, clearly, and nothing that fits."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbole_peterrec import run
from recbole_peterrec.data.loaders import Loaders
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.nn.dilated import DilatedArchitecture
from recbole_peterrec.runs import memory, source_stage, task_stage
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.runs.memory import require_memory, require_stage
from recbole_peterrec.runs.needs import Need, model_need, training_need
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.training import largest_splits
from recbole_peterrec.runs.transfer import TransferRun
from tests.toy import TASKS, command_line, settings, toy_flags, write_config, write_toy

WIDTH = 16
CPU = torch.device("cpu")


@pytest.fixture
def free(monkeypatch):
    """Says how many bytes are free."""

    def be(size):
        monkeypatch.setattr(memory, "available_memory", lambda *_: size)

    return be


def test_the_largest_tensor_is_named_with_the_value_that_fits(free):
    needs = [
        Need("tables", 300, {"embedding_size": 10}),
        Need("activations", 900, {"train_batch_size": 30}),
    ]
    free(1200)
    require_memory("here", [needs], CPU)
    free(1000)
    with pytest.raises(ConfigError) as error:
        require_memory("here", [needs], CPU)
    assert "activations" in str(error.value)
    assert str(error.value).endswith("; train_batch_size 23 would fit")
    free(200)
    with pytest.raises(ConfigError, match="use a smaller model"):
        require_memory("here", [needs], CPU)


def test_what_no_setting_makes_smaller_is_a_smaller_model(free):
    free(3)
    with pytest.raises(ConfigError, match="; use a smaller model$"):
        require_memory("here", [[model_need("SASRec", 10, 3)]], CPU)


def test_a_value_that_fits_is_of_all_that_grows_with_it_each_in_its_way(free):
    # 8 instead of 10: kernels 900 * .64 = 576, tables 300 * .8 = 240; 9 would be 999.
    needs = [
        Need("tables", 300, {"embedding_size": 10}),
        Need("kernels", 900, {"embedding_size": 10}, power=2),
    ]
    free(900)
    with pytest.raises(ConfigError, match="embedding_size 8 would fit"):
        require_memory("here", [needs], CPU)


def test_a_value_that_fits_is_one_for_all_steps(free):
    """72 of 76 that the first has room for, 64 of 67 that the second has, which needs less."""
    alike = {"embedding_size": 100}
    steps = [
        [Need("tables", 1300, alike)],
        [Need("tables", 620, alike), Need("activations", 580, {"rows": 1})],
    ]
    free(1000)
    with pytest.raises(ConfigError, match="embedding_size 64 would fit"):
        require_memory("here", steps, CPU)
    with pytest.raises(ConfigError, match="embedding_size 72 would fit"):
        require_memory("here", steps[:1], CPU)


def test_no_fewer_channels_are_advised_than_patches_can_have(free):
    needs = [Need("tables", 1000, {"embedding_size": 100})]
    free(75)
    with pytest.raises(ConfigError, match="use a smaller model"):
        require_memory("here", [needs], CPU)


ADVICE = re.compile(r"(\w+) (\d+)(?= and | would fit)")


@pytest.mark.parametrize("size", [26_000, 30_000, 35_000])
def test_a_stage_that_follows_the_advice_is_accepted(free, size):
    """Here training and evaluation each have a setting of their own."""
    free(size)
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2), True, "pre")
    config = {"device": CPU, "MAX_ITEM_LIST_LENGTH": 10, "amp": None}
    config |= {"train_batch_size": 60, "eval_batch_size": 60}
    lengths = (np.full(90, 10), np.full(90, 10))

    def require(keys):
        require_stage("here", keys, architecture, [], *lengths, True, (False, False))

    with pytest.raises(ConfigError) as error:
        require(config)
    advised = ADVICE.findall(str(error.value))
    assert [key for key, _ in advised] == ["train_batch_size", "eval_batch_size"]
    require(config | {key: int(value) for key, value in advised})


@pytest.mark.parametrize(
    ("changes", "large", "message"),
    [
        ({}, 0, "pretraining: needs at least"),
        ({"pooling": "mean"}, 1, "eval_batch_size"),
        ({}, 1, "task 'gender': fine-tuning: needs at least"),
    ],
)
def test_a_run_that_cannot_fit_is_refused_before_it_writes(
    tmp_path, monkeypatch, changes, large, message
):
    """What is free is asked for once a stage."""
    free = iter([2**40] * large)
    small = 2**10 if large else 2**14
    monkeypatch.setattr(memory, "available_memory", lambda *_: next(free, small))
    folder = write_toy(tmp_path / "data")
    keys = settings(folder, run_dir=str(tmp_path / "run"), **changes)
    with pytest.raises(ConfigError, match=message) as error:
        run("PeterRec", "toy", config_dict=keys)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_batch_counts_with_the_rows_that_there_are(tmp_path):
    """The toy has few; a batch of a billion is a batch of them all."""
    folder = write_toy(tmp_path / "data")
    sizes = {"train_batch_size": 10**9, "eval_batch_size": 10**9}
    keys = settings(folder, run_dir=str(tmp_path / "run"), **sizes)
    assert run("PeterRec", "toy", config_dict=keys)["results"]["tasks"]


def test_the_command_line_refuses_what_no_machine_holds(tmp_path):
    file = tmp_path / "toy.yaml"
    changes = {"embedding_size": 10**8, "run_dir": str(tmp_path / "run")}
    write_config(file, write_toy(tmp_path), **changes)
    done = command_line(toy_flags(file, "NextItNetAR"), tmp_path)
    assert done.status == 2
    assert done.stderr.startswith("error: training: needs at least"), done.stderr
    assert "use a smaller model" in done.stderr or "embedding_size" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture
def counted(monkeypatch):
    """The needs of each step of each stage that is looked at."""
    steps = []
    for module in (memory, source_stage):
        monkeypatch.setattr(
            module, "require_memory", lambda where, needs, *_, **__: steps.extend(needs)
        )
    return steps


@pytest.mark.parametrize("amp", [None, "bf16"])
def test_a_step_counts_no_item_beyond_the_longest_history(counted, amp):
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2), False, "pre")
    config = {"device": torch.device("cpu"), "MAX_ITEM_LIST_LENGTH": 10, "amp": amp}
    config |= {"train_batch_size": 4, "eval_batch_size": 4}
    for length in (10, 1000):
        lengths = (np.full(9, length), np.full(9, length))
        require_stage("here", config, architecture, [], *lengths, True, (False, False))
    assert len(counted) == 4
    assert counted[:2] == counted[2:]


def test_processes_share_the_rows_of_a_step(counted, monkeypatch):
    monkeypatch.setattr(memory.group, "size", lambda: 2)
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2), False, "pre")
    config = {"device": torch.device("cpu"), "MAX_ITEM_LIST_LENGTH": 10, "amp": None}
    config |= {"train_batch_size": 4, "eval_batch_size": 4}
    lengths = (np.full(9, 10), np.full(9, 10))
    require_stage("here", config, architecture, [], *lengths, True, (False, False))
    (step,) = counted[-1]
    assert step.what.startswith("activations of 2 rows")
    assert step.grows_with["train_batch_size"] == 4


@pytest.mark.parametrize(("trained", "copies"), [(True, 4), (False, 1)])
def test_a_source_that_is_only_loaded_counts_its_weights_alone(
    toy_config, counted, trained, copies
):
    SourceStage(toy_config(), trained=trained)
    assert len(counted) == 1 + trained  # evaluation, and a step of training
    tables, kernels = (need.bytes for need in counted[0][:2])
    assert tables == 4 * 8 * (31 + 32) * copies  # items with padding, and [TCL]
    assert kernels == 4 * 2 * 3 * 8 * 8 * copies


@pytest.mark.parametrize(
    ("model", "rows"),
    [("PeterRec", [2]), ("FineAll", [2 + 32]), ("MTL", [2 + 32, 31])],
)
def test_tables_that_a_task_trains_count_and_no_others(
    toy_config, counted, model, rows
):
    """Its labels', the embeddings' where they move, the source's layer where it is learned."""
    TransferRun(toy_config(model, tasks=TASKS[:1], weight_average=0))
    tables = [n.bytes for n in counted[-1] if n.what.startswith("embeddings")]
    assert tables == [4 * 8 * 4 * number for number in rows]


@pytest.mark.parametrize(
    ("model", "steps"), [("FineAll", 1), ("FineLast", 0), ("PeterRec", 0)]
)
def test_activations_of_a_task_count_where_all_layers_are_trained(
    toy_config, counted, model, steps
):
    TransferRun(toy_config(model, tasks=TASKS[:1]))
    of_task = [n for needs in counted[2:] for n in needs]
    assert sum("train_batch_size" in need.grows_with for need in of_task) == steps


@pytest.mark.parametrize(("pooling", "alone"), [("last", True), ("mean", False)])
def test_a_task_that_reads_the_last_position_counts_no_other(
    toy_config, counted, pooling, alone
):
    tasks = [{**TASKS[0], "pooling": pooling}]
    TransferRun(toy_config("PeterRec", tasks=tasks))
    (step,) = [n for n in counted[-1] if "eval_batch_size" in n.grows_with]
    assert step.what.endswith("evaluated rows of 1 items") == alone


def test_a_causal_source_is_evaluated_at_its_last_positions(toy_config, counted):
    SourceStage(toy_config())
    evaluated = [
        n for needs in counted for n in needs if "eval_batch_size" in n.grows_with
    ]
    assert [need.what for need in evaluated] == [
        "activations of 60 evaluated rows of 1 items"
    ]


def test_the_larger_split_of_those_that_are_evaluated_counts():
    for sizes in ((9, 2, 5), (9, 5, 2)):
        parts = [
            SimpleNamespace(_dataset=SimpleNamespace(inter_feat=range(size)))
            for size in sizes
        ]
        loaders = Loaders(*parts)
        assert [len(split.inter_feat) for split in largest_splits(loaders)] == [9, 5]


def test_owned_embeddings_count_as_they_are_made_of_their_owners(toy_config, counted):
    sizes = []
    for pruned in (False, True):
        counted.clear()
        ContinualRun(toy_config("Conure", tasks=TASKS[:1], prune_embeddings=pruned))
        sizes.append([n.bytes for n in counted[-1] if n.what.startswith("embeddings")])
    assert sizes[1][0] - sizes[0][0] == 2 * 4 * 32 * 8  # rows and width of the table


def test_vectors_that_are_made_once_are_made_of_few_users_at_once(
    toy_config, counted, monkeypatch
):
    monkeypatch.setattr(task_stage, "USERS_AT_ONCE", 3)
    keys = {"tasks": [{**TASKS[0], "dropout_prob": 0.0}], "pooling": "mean"}
    TransferRun(toy_config("FineCLS", **keys))
    (vectors,) = [n for n in counted[-1] if n.what.startswith("vectors")]
    assert vectors.bytes == 4 * 8 * (60 + 1)  # of all users, and of padding
    (evaluated,) = [n for n in counted[-1] if "eval_batch_size" in n.grows_with]
    assert evaluated.what.startswith("activations of 3 evaluated rows")


def test_the_last_item_of_a_window_of_next_items_is_not_encoded(toy_config, counted):
    """MAX_ITEM_LIST_LENGTH is of histories, to which windows have one more as a target."""
    for model, longer in (("NextItNetAR", 1), ("GRec", 0)):
        counted.clear()
        stage = SourceStage(toy_config(model, train_batch_size=10**9))
        data = largest_splits(stage.loaders)[0].inter_feat
        lengths = data[stage.dataset.item_list_length_field].numpy() - longer
        architecture = stage.model.encoder.architecture
        expected = training_need(architecture, lengths, len(lengths), False)
        (step,) = [n for n in counted[-1] if "train_batch_size" in n.grows_with]
        assert step.bytes == expected.bytes


@pytest.mark.parametrize(("trained", "counts"), [(True, 1), (False, 0)])
def test_a_model_of_recbole_counts_with_what_its_training_keeps(
    toy_config, counted, trained, counts
):
    stage = SourceStage(toy_config("GRU4Rec"), trained=trained)
    assert [[need.bytes for need in step] for step in counted] == [
        [4 * 3 * stage.parameters]  # its gradient and two moments
    ] * counts


def test_the_search_for_directions_counts_where_it_is_made(toy_config, counted):
    config = toy_config("NextItNetAR", embedding_init="svd")
    stage = SourceStage(config)
    users, items = stage.dataset.user_num, stage.dataset.item_num
    sought = min(8 + 32, users, items)
    assert [need.bytes for need in counted[0]] == [4 * sought * (2 * users + items)]
    found = len(counted)
    SourceStage(config, loaded=True)
    assert len(counted) == 2 * found - 1


def test_a_task_whose_weights_are_averaged_keeps_their_averages(toy_config, counted):
    sizes = []
    for average in (0, 0.9):
        counted.clear()
        TransferRun(toy_config("FineAll", tasks=TASKS[:1], weight_average=average))
        sizes.append([n.bytes for n in counted[-1] if n.what.startswith("embeddings")])
    assert sizes[1][0] * 4 == sizes[0][0] * 5
