"""Where a backbone's item embeddings begin."""

import pytest
import torch

from recbole_peterrec import run
from recbole_peterrec.data.directions import item_directions
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model import backbone
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.runs.source_stage import SourceStage
from tests.toy import settings


@pytest.fixture
def built(toy_config):
    def make(kind=NextItNetAR, **changes):
        config = toy_config(kind.__name__, **changes)
        train = SequenceDataset(config).build()[0]
        torch.manual_seed(0)
        return kind(config, train), train, config

    return make


@pytest.mark.parametrize("kind", [NextItNetAR, GRec])
def test_svd_begins_with_the_directions_of_the_training_rows(built, kind):
    model, train, config = built(kind, embedding_init="svd")
    read = train.read_in_training()
    assert 0 < read.sum() < len(read)
    directions = item_directions(train.sequences, read, 8, config["seed"])
    table = model.encoder.embedding.weight
    assert torch.equal(table[:-1], 0.02 * directions)
    assert not table[0].any()  # padding
    assert table[-1].any()  # the special token, which is no item


def test_all_other_weights_begin_as_without(built):
    with_directions, without = (
        built(embedding_init=how)[0].state_dict() for how in ("svd", "random")
    )
    name = "encoder.embedding.weight"
    ours, others = with_directions.pop(name), without.pop(name)
    assert not torch.equal(ours, others)
    assert torch.equal(ours[-1], others[-1])
    assert all(torch.equal(v, without[k]) for k, v in with_directions.items())


def test_what_is_not_trained_or_is_loaded_begins_at_random(toy_config):
    """PeterZero and FineZero, which have no pretraining of any kind, and a learner that prunes a
    saved backbone."""
    config, plain = (
        toy_config("NextItNetAR", embedding_init=how) for how in ("svd", "random")
    )
    untrained, loaded, trained, random = (
        stage.model.encoder.embedding.weight
        for stage in (
            SourceStage(config, trained=False),
            SourceStage(config, loaded=True),
            SourceStage(config),
            SourceStage(plain),
        )
    )
    assert torch.equal(untrained, random)
    assert torch.equal(loaded, random)
    assert not torch.equal(trained, random)


def test_a_learner_seeks_directions_unless_it_begins_with_a_saved_backbone(
    toy_config, tmp_path, monkeypatch
):
    keys = {"embedding_init": "svd", "tasks": [], "state": "ERROR"}
    saved = tmp_path / "saved"
    given = settings(tmp_path / "data", run_dir=str(saved), state="ERROR")
    run("NextItNetAR", "toy", config_dict=given)
    sought = []

    def found(*given):
        sought.append(given)
        return item_directions(*given)

    monkeypatch.setattr(backbone, "item_directions", found)
    ContinualRun(toy_config("Conure", **keys))
    assert len(sought) == 1
    ContinualRun(toy_config("Conure", pretrained_path=str(saved), **keys))
    assert len(sought) == 1


@pytest.mark.parametrize("value", ["SVD", "pca", True, 0.1])
def test_another_beginning_is_refused(toy_config, value):
    with pytest.raises(ConfigError, match="embedding_init must be .*random or svd"):
        toy_config("NextItNetAR", embedding_init=value)


@pytest.mark.parametrize("value", [0, -0.1, "0.1x"])
def test_a_rate_that_moves_no_embedding_is_refused(toy_config, value):
    with pytest.raises(ConfigError, match="embedding_learning_rate must be"):
        toy_config("NextItNetAR", embedding_learning_rate=value)
