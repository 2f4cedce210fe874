"""A tuning strategy is a choice of trainable parameters (PeterRec, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import nn

from recbole_peterrec.nn.encoder import Encoder

TUNINGS = ("patch", "all", "last", "head")


@dataclass(frozen=True)
class Tuning:
    """What makes a task's network out of a pretrained encoder; names as in the property files.

    Attributes:
        tuning: ``patch`` and ``head`` train nothing of it (PeterRec; FineCLS), ``last`` its last
            layers (FineLast), ``all`` everything (FineAll).
        tune_layers: how many layers ``last`` trains.
        tune_layernorm: train the LayerNorms as well (the authors' code does; the paper does not).
    """

    tuning: str
    tune_layers: int
    tune_layernorm: bool
    pooling: str
    patch_insertion: str
    patch_count: int | None
    patch_reduction: int
    patch_activation: str
    patch_cardinality: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Tuning:
        """Take the fields out of a config or a saved task.

        Raises:
            KeyError: a saved task lacks one.
        """
        return cls(**{field.name: settings[field.name] for field in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def choose_trainable(encoder: Encoder, strategy: Tuning) -> None:
    """Freeze a pretrained encoder but for what a strategy trains; call it before patches are
    inserted.

    Raises:
        ValueError: unknown tuning, or a number of layers that the encoder does not have.
    """
    tuning, number = strategy.tuning, strategy.tune_layers
    if tuning not in TUNINGS:
        raise ValueError(f"tuning must be one of {', '.join(TUNINGS)}, got {tuning!r}")
    encoder.requires_grad_(tuning == "all")
    if tuning == "last":
        layers = encoder.tunable_layers()
        if not isinstance(number, int) or not 1 <= number <= len(layers):
            raise ValueError(f"tune_layers must be 1 to {len(layers)}, got {number!r}")
        for layer in layers[-number:]:
            layer.requires_grad_(True)
    if strategy.tune_layernorm:
        for module in encoder.modules():
            if isinstance(module, nn.LayerNorm):
                module.requires_grad_(True)
