"""Pretrain a user model once, then carry it to every task: PeterRec for RecBole."""

from recbole_peterrec.registry import register
from recbole_peterrec.serving import UserModel
from recbole_peterrec.suite.run import run
from recbole_peterrec.version import __version__

__all__ = ["UserModel", "__version__", "register", "run"]
