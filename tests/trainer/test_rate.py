"""What the bars say of speed."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_peterrec import run
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.model.task_network import tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.trainer import rate
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.rate import (
    RateBar,
    bf16_gain,
    product_rate,
    told_limit,
    with_rate,
)
from tests.toy import TARGET, settings, write_toy


class Loader(list):
    """Batches, and what RecBole's loaders call their rows."""

    dataset = range(5)


@pytest.fixture
def told(monkeypatch):
    """What a bar was told last, and by how much it moved."""

    class Bar:
        def __init__(self, **settings):
            self.total, self.moved, self.text = settings["total"], 0, ""
            self.told = settings["desc"]
            made.append(self)

        def close(self):
            pass

        def update(self, number):
            self.moved += number

        def set_postfix_str(self, text, refresh):
            self.text = text

    made = []
    monkeypatch.setattr(rate, "tqdm", Bar)
    return made


def test_a_bar_tells_items_a_second_and_the_share_of_the_limit(told, monkeypatch):
    seconds = iter([0.0, 1.0, 4.0])
    monkeypatch.setattr(rate.time, "perf_counter", lambda: next(seconds))
    batches = Loader(Interaction({"n": torch.tensor(n)}) for n in ([7, 3], [1, 2, 7]))
    bar = RateBar(batches, "rows", "n", lambda batch: 10.0, 20.0)
    assert list(with_rate(batches, bar)) == list(batches)
    (bar,) = told
    assert (bar.total, bar.moved) == (5, 5)
    assert bar.text == "5 items/s, 25% of GEMM"  # 20 items and 20 FLOP in 4 seconds


def test_rows_without_their_items_are_counted_all_the_same(told):
    batches = Loader([Interaction({"user": torch.arange(5)})])
    list(with_rate(batches, RateBar(batches, "rows", "n")))
    assert (told[0].moved, told[0].text) == (5, "")


@pytest.mark.parametrize("model", [NextItNetAR, GRec])
def test_flops_of_a_step_are_those_counted_by_hand(toy_config, model):
    config = toy_config(model.__name__, norm="pre", dropout_prob=0.0)
    dataset = SequenceDataset(config)
    batch = next(iter(make_loaders(config, dataset)[0]))
    net = model(config, dataset)
    k, lengths = 8, batch[net.ITEM_SEQ_LEN].tolist()
    if model is NextItNetAR:  # a window's last item is a target alone
        lengths = [length - 1 for length in lengths]
        offsets = ((0, -1, -2), (0, -2, -4))
    else:
        offsets = ((-1, 0, 1), (-2, 0, 2))
    products = sum(
        k * k * max(0, length - abs(offset))
        for length in lengths
        for taps in offsets
        for offset in taps
    )
    targets = int(net.loss_terms(batch).sum())
    by_hand = 3 * 2 * (products + targets * k * dataset.item_num)
    assert net.training_flops(batch) == by_hand


def test_the_machines_rate_is_measured_once_and_told_once_a_run(caplog):
    product_rate.cache_clear()
    told_limit.cache_clear()
    told = "16 wide, float32 on cpu:"
    with caplog.at_level("INFO"):
        rates = {
            told_limit(torch.device("cpu"), 16, torch.float32, run)
            for run in ("one", "one", "two")
        }
    (rate,) = rates
    assert rate > 0
    assert [told in record.message for record in caplog.records] == [True, True]
    assert f"{told} {rate / 1e9:.0f} GFLOP/s" in caplog.records[0].message


def test_what_bf16_gains_is_the_ratio_of_its_products(monkeypatch):
    rates = {torch.bfloat16: 3.0, torch.float32: 4.0}
    monkeypatch.setattr(rate, "product_rate", lambda device, width, dtype: rates[dtype])
    assert bf16_gain(torch.device("cpu"), 16) == 0.75


def test_a_training_with_bars_gives_the_same_weights(toy_config, told):
    def weights(show):
        config = toy_config()
        dataset = SequenceDataset(config)
        train = make_loaders(config, dataset)[0]
        torch.manual_seed(0)
        model = NextItNetAR(config, dataset)
        BackboneTrainer(config, model).fit(train, verbose=False, show_progress=show)
        return model.state_dict()

    quiet, shown = weights(False), weights(True)
    assert "of GEMM" in told[-1].text
    assert all(torch.equal(quiet[name], shown[name]) for name in quiet)


def test_rows_that_are_ranked_have_a_bar_and_the_same_metrics(toy_config, told):
    config = toy_config()
    dataset = SequenceDataset(config)
    valid = make_loaders(config, dataset)[1]
    trainer = BackboneTrainer(config, NextItNetAR(config, dataset))
    quiet, shown = (
        trainer.evaluate(valid, load_best_model=False, show_progress=show)
        for show in (False, True)
    )
    assert quiet == shown
    (bar,) = told
    assert bar.moved == bar.total == len(valid.dataset) > 0
    assert bar.text.endswith(" items/s")


K = 8  # channels
ROWS = {4: 2, 9: 1}  # users by the numbers of their items


@pytest.mark.parametrize(
    ("keys", "passes"),
    [
        ({"tuning": "all"}, [3, 3]),
        ({"tuning": "last", "tune_layers": 1}, [1, 2]),
        ({"tuning": "head"}, [1, 1]),
        ({"tuning": "head", "tune_layernorm": True}, [1, 2]),
        ({"tuning": "patch"}, [1, 2]),
    ],
    ids=str,
)
@pytest.mark.parametrize("pooling", ["mean", "tcl_end"])
def test_flops_of_a_task_s_step_are_those_counted_by_hand(keys, passes, pooling):
    """Of one block of two layers, dilations 1 and 2: forward, and where something below a layer
    learns, the states' gradients, and where its kernels do, theirs."""
    given = {"tune_layers": 1, "tune_layernorm": False, "patch_count": None}
    given |= {"patch_insertion": "serial_before_norm", "patch_reduction": 4}
    given |= {"patch_activation": "relu", "patch_cardinality": 1, "pooling": pooling}
    encoder = DilatedEncoder(DilatedArchitecture(30, K, 3, (1,), True, "post"))
    net = tuned_network(encoder, Tuning(**given | keys), labels=5)
    lengths = torch.tensor(
        [length for length, users in ROWS.items() for _ in range(users)]
    )
    if pooling == "mean":  # the taps at 0, -1 and -2, then those at 0, -2 and -4
        positions = [2 * (4 + 3 + 2) + 9 + 8 + 7, 2 * (4 + 2 + 0) + 9 + 7 + 5]
    else:  # the second layer gives the last position, the first the five that it reads
        positions = [2 * (5 + 4 + 3) + 5 + 5 + 5, 3 * 3]
    expected = sum(2 * K * K * n * p for n, p in zip(positions, passes, strict=True))
    if keys["tuning"] == "patch":  # one a layer, at as many positions on average
        weights = sum(p.numel() for p in net.patch_parameters())
        expected += 2 * 3 * weights * sum(positions) / 2 / 3
    assert net.training_flops(lengths) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "trained"), [("FineAll", 2), ("FineCLS", 2), ("MTL", 1)]
)
def test_bars_of_trainings_show_the_share_of_the_limit(tmp_path, told, model, trained):
    """Of the source, where it is pretrained, and of the task."""
    keys = {"tasks": [TARGET], "epochs": 1, "dropout_prob": 0.0, "state": "ERROR"}
    folder = write_toy(tmp_path)
    keys = settings(folder, run_dir=str(tmp_path / "run"), show_progress=True, **keys)
    run(model, "toy", config_dict=keys)
    texts = [bar.text for bar in told if "rows" in bar.told and bar.moved]
    kept = model == "FineCLS"  # its steps have no items
    assert [text.endswith(" of GEMM") for text in texts] == [True] * (
        trained - kept
    ) + ([False] * kept)
