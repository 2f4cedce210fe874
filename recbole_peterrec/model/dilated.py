"""What the papers' two backbones have in common: the dilated network."""

from __future__ import annotations

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.nn.dilated import DilatedArchitecture


class DilatedBackbone(Backbone):
    """Keys: ``embedding_size``, ``kernel_size``, ``dilations``, ``block_num`` (RecBole's: the list
    of dilations is repeated so often), ``norm``, ``embedding_scale``.

    Attributes:
        causal: as of :class:`DilatedArchitecture`.
    """

    architecture_class = DilatedArchitecture
    causal: bool

    @classmethod
    def architecture_of(cls, config, items: int) -> DilatedArchitecture:
        """As of :class:`Backbone`."""
        sizes = {
            "embedding_size": config["embedding_size"],
            "kernel_size": config["kernel_size"],
            "block_num": config["block_num"],
        }
        for key, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise ConfigError(
                    f"{key} must be a whole number of at least 1, got {value!r}"
                )
        dilations = config["dilations"]
        if not isinstance(dilations, list) or not all(
            isinstance(d, int) and d > 0 for d in dilations
        ):
            raise ConfigError(
                f"dilations must be a list of whole numbers, got {dilations!r}"
            )
        return DilatedArchitecture(
            items=items,
            embedding_size=sizes["embedding_size"],
            kernel_size=sizes["kernel_size"],
            dilations=tuple(dilations) * sizes["block_num"],
            causal=cls.causal,
            norm=config["norm"],
            embedding_scale=float(config["embedding_scale"]),
        )
