"""What a task's keys say of its pruning and retraining (Conure, section 4, stages 2 and 3)."""

from __future__ import annotations

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.learner import Ratios

AUTO = "auto"  # a prune_ratio that is searched for
AUTO_RATIOS = tuple(percent / 100 for percent in range(95, 45, -5))  # largest first


def ratios(config: Config, ratio: float) -> Ratios:
    """The pruning ratio of each kind of weight: `ratio` is the kernels'."""
    return {"convolution": ratio, "embedding": config["embedding_prune_ratio"]}


def retraining_epochs(config: Config) -> int:
    """Bound of retraining after pruning."""
    return config["retrain_epochs"] or config["epochs"]


def require_retraining(task: str, config: Config, validated: int) -> None:
    """Refuse before the run what would stop it after a task's first training.

    Args:
        task: its name.
        config: of its training.
        validated: batches of its validation.

    Raises:
        ConfigError: a bound of retraining that its other keys do not allow, or ``auto`` without
            validation.
    """
    try:
        config.derive(epochs=retraining_epochs(config))
    except ConfigError as error:
        raise ConfigError(f"task {task!r}: retrain_epochs: {error}") from error
    if config["prune_ratio"] == AUTO and not (config["eval_step"] and validated):
        raise ConfigError(
            f"task {task!r}: prune_ratio auto compares validation metrics; it needs validation "
            f"rows (eval_args) and an eval_step above 0"
        )
