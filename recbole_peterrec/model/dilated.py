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
        dilations, times = config["dilations"], config["block_num"]
        if not isinstance(dilations, list) or not isinstance(times, int):
            raise ConfigError(
                f"dilations must be a list and block_num a whole number, got {dilations!r} and "
                f"{times!r}"
            )
        return DilatedArchitecture(
            items=items,
            embedding_size=config["embedding_size"],
            kernel_size=config["kernel_size"],
            dilations=tuple(dilations) * times,
            causal=cls.causal,
            norm=config["norm"],
            embedding_scale=float(config["embedding_scale"]),
        )
