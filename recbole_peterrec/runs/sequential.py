"""A run of one sequential model: a backbone of ours, or a baseline of RecBole's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import save_tensors
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.results import History, write_results
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.run import Run
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.unread import refuse_origins, tell_what_does_not_count

# Keys of tasks, and of what this runner never writes.
UNREAD = (
    *("finetune_epochs", "head_learning_rate", "weight_average"),
    *("dataset_save_path", "dataloaders_save_path"),
)
UNREAD_BY_RECBOLE = (
    *("compile", "embedding_init", "embedding_learning_rate", "embedding_scale"),
    *("softmax_popularity", "softmax_samples", "source_cache", "window_overlap"),
)


class SequentialRun(Run):
    """Trains and tests it; what can be wrong shows in the constructor.

    Raises:
        UserError: data or settings that cannot be used.
    """

    def __init__(self, config: Config) -> None:
        refuse_origins(config, ["continue_from", "pretrained_path"])
        if config["train_share"] != 1:
            raise ConfigError(
                f"train_share is for tasks; {config['model']} has none; leave it out"
            )
        bound = config["pretrain_epochs"]  # this is the stage that it is for
        config = config.derive(epochs=bound) if bound else config
        self.source = SourceStage(config)
        self.tasks = ()
        ours = issubclass(config.model_class, Backbone)
        unread = UNREAD if ours else UNREAD + UNREAD_BY_RECBOLE
        if config["train_neg_sample_args"]["distribution"] == "none":
            unread += ("rank_rho",)
        tell_what_does_not_count(config, unread)

    def learns_source(self) -> bool:
        """Always."""
        return True

    def starts_from(self) -> dict[str, str]:
        """Nothing, on random weights."""
        return {}

    def execute(
        self, run_dir: Path, log: RunLog, results: dict[str, Any]
    ) -> dict[str, History]:
        """Train, test and save; returns the validated epochs, as all runs do."""
        model, config = self.source.model, self.source.config
        outcome = self.source.train(log)
        results["pretrain"] = self.source.record(outcome)
        if isinstance(model, Backbone):
            self.source.save(run_dir, results["pretrain"], config.longest_history)
        else:
            save_tensors(run_dir / "model.safetensors", model.state_dict())
        histories = {config["model"]: outcome.history}
        write_results(run_dir, results, histories)
        return histories
