"""Losses that models know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole_peterrec.errors import ConfigError

# Of RecBole 1.2.1's sequential models, and those of them that know fewer or more.
LOSSES = ("CE", "BPR")
LOSSES_OF = {
    **dict.fromkeys(("DIEN", "DIN", "TransRec"), ()),
    **dict.fromkeys(("CORE", "GRU4RecCPR", "RepeatNet", "SASRecCPR"), ("CE",)),
    "FPMC": ("BPR",),
    "SINE": (*LOSSES, "NLL"),
}


def check_loss(config: Mapping[str, Any], model: str, default: Any) -> None:
    """Refuse a ``loss_type`` that a sequential model does not know.

    Args:
        config: keys and values.
        model: its name.
        default: of its files; a model without one needs none.

    Raises:
        ConfigError: names what it knows.
    """
    loss, known = config.get("loss_type"), LOSSES_OF.get(model, LOSSES)
    if not known and loss is not None:
        raise ConfigError(f"{model} has no loss_type, got {loss!r}; leave it out")
    if known and loss not in known and (loss, default) != (None, None):
        raise ConfigError(
            f"loss_type of {model} must be {' or '.join(known)}, got {loss!r}"
        )
