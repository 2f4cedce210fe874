"""Pretrain a user model once, then carry it to every task: PeterRec for RecBole."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from recbole_peterrec.version import __version__

if TYPE_CHECKING:
    from recbole_peterrec.registry import register
    from recbole_peterrec.serving import UserModel
    from recbole_peterrec.suite.dispatch import run

__all__ = ["UserModel", "__version__", "register", "run"]

_MODULES = {"UserModel": "serving", "register": "registry", "run": "suite.dispatch"}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: the command sets what torch reads when it is imported."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if importlib.util.find_spec(f"{__name__}.{name}"):  # a module of the package
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
