"""What the bars say of speed."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.trainer import rate
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.rate import (
    bf16_gain,
    product_rate,
    told_limit,
    with_rate,
)


class Loader(list):
    """Batches, and what RecBole's loaders call their rows."""

    dataset = range(5)


@pytest.fixture
def told(monkeypatch):
    """What a bar was told last, and by how much it moved."""

    class Bar:
        def __init__(self, **settings):
            self.total, self.moved, self.text = settings["total"], 0, ""
            made.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
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
    assert list(with_rate(batches, "n", lambda batch: 10.0, 20.0)) == list(batches)
    (bar,) = told
    assert (bar.total, bar.moved) == (5, 5)
    assert bar.text == "5 items/s, 25% of GEMM"  # 20 items and 20 FLOP in 4 seconds


def test_rows_without_their_items_are_counted_all_the_same(told):
    batches = Loader([Interaction({"user": torch.arange(5)})])
    list(with_rate(batches, "n", None, 0.0))
    assert (told[0].moved, told[0].text) == (5, "")


@pytest.mark.parametrize("model", [NextItNetAR, GRec])
def test_flops_of_a_step_are_those_counted_by_hand(toy_config, model):
    config = toy_config(model.__name__, norm="pre", dropout_prob=0.0)
    dataset = SequenceDataset(config)
    batch = next(iter(make_loaders(config, dataset)[0]))
    net = model(config, dataset)
    k, kernels = 8, 2 * 3 * 8 * 8  # one block: two convolutions of three taps
    items = int(batch[net.ITEM_SEQ_LEN].sum())
    if model is NextItNetAR:  # a window's last item is a target alone
        items -= len(batch)
    targets = int(net.loss_terms(batch).sum())
    by_hand = 3 * 2 * (kernels * items + targets * k * dataset.item_num)
    assert net.training_flops(batch) == by_hand


def test_the_machines_rate_is_measured_and_told_once(caplog):
    product_rate.cache_clear()
    told_limit.cache_clear()
    with caplog.at_level("INFO"):
        first = told_limit(torch.device("cpu"), 16, torch.float32)
        assert told_limit(torch.device("cpu"), 16, torch.float32) == first > 0
    (record,) = caplog.records
    assert f"16 wide, float32 on cpu: {first / 1e9:.0f} GFLOP/s" in record.message


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
