"""PeterRec as a RecBole model: one task's tuned network."""

from __future__ import annotations

from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.task_network import tuned_network
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.encoder import Encoder


class PeterRec(TaskRecommender):
    """Fine-tuning for a task: PeterRec, or by the key ``tuning`` one of its baselines.

    Keys: those of :class:`Tuning`, ``loss_type``, ``dropout_prob``, ``head_dropout``.

    Args:
        config: the task's config.
        dataset: its instances.
        encoder: the pretrained encoder; it is frozen, its values stay as they are.

    Raises:
        ConfigError: a value or combination that the paper rules out.
    """

    def __init__(self, config, dataset: TaskDataset, encoder: Encoder) -> None:
        super().__init__(config, dataset)
        try:
            self.network = tuned_network(
                encoder,
                Tuning.of(config),
                self.n_items - 1,
                config["dropout_prob"],
                config["head_dropout"],
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
