"""Negative items: fixed evaluation candidates and static rank-based ones, on RecBole's samplers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from recbole.sampler.sampler import AbstractSampler, Sampler

from recbole_peterrec.errors import ConfigError

LEAST_NEGATIVE = 1e-3  # probability that a draw is no positive of its user


@contextlib.contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """RecBole's samplers draw from NumPy's global generator: seed it, then put it back."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


class CandidateSampler(AbstractSampler):
    """Draws the candidates that each row of a split is ranked against, once.

    A candidate is never a positive of its user in any split of the task, a row's candidates are
    distinct, and the same seed gives the same ones whatever was drawn before.

    Args:
        users: ``[N]`` users of all positives of the task, over all splits.
        items: ``[N]`` their items.
        user_num: size of the user vocabulary.
        item_num: size of the item vocabulary, padding included.
        distribution: ``uniform`` or ``popularity``.
    """

    def __init__(
        self,
        users: np.ndarray,
        items: np.ndarray,
        user_num: int,
        item_num: int,
        distribution: str = "uniform",
    ) -> None:
        self.items, self.user_num, self.item_num = items, user_num, item_num
        self.by_user = items
        if np.any(users[1:] < users[:-1]):
            order = np.argsort(users, kind="stable")
            users, self.by_user = users[order], items[order]
        self.start = np.searchsorted(users, np.arange(user_num + 1, dtype=users.dtype))
        super().__init__(distribution, alpha=1.0)

    def _uni_sampling(self, sample_num: int) -> np.ndarray:
        return np.random.randint(1, self.item_num, sample_num)

    def _build_alias_table(self) -> None:
        """Popularity as a cumulative distribution; RecBole's table is read whole at a draw."""
        self.cumulative = np.bincount(self.items, minlength=self.item_num).cumsum()

    def _pop_sampling(self, sample_num: int) -> np.ndarray:
        place = np.random.randint(self.cumulative[-1], size=sample_num)
        return np.searchsorted(self.cumulative, place, "right")

    def get_used_ids(self) -> None:
        """RecBole's table of a set for each user, which :meth:`positives` is instead."""

    def positives(self, user: int) -> set[int]:
        """Items that are never drawn for a user."""
        return set(self.by_user[self.start[user] : self.start[user + 1]].tolist())

    def candidates(self, users: np.ndarray, number: int, seed: int) -> np.ndarray:
        """Draw candidates.

        Args:
            users: ``[N]`` user of each row.
            number: candidates a row.
            seed: fixes them.

        Returns:
            ``[N, number]`` item ids (int32).

        Raises:
            ConfigError: a user has fewer than `number` items that are not positives.
        """
        drawable = self.item_num - 1
        if self.distribution == "popularity":  # an item that nobody has is never drawn
            drawable = len(np.unique(self.items))
        if number > drawable:
            raise ConfigError(
                f"eval_args: mode asks for {number} negatives, but there are only {drawable} "
                f"labels; use fewer, or mode full"
            )
        drawn = np.zeros((len(users), number), dtype=np.int32)
        with numpy_seed(seed):
            for row, user in enumerate(users):
                used = self.positives(user)
                available = drawable - len(used)
                if available < number:
                    most = max(len(self.positives(u)) for u in np.unique(users))
                    raise ConfigError(
                        f"eval_args: mode asks for {number} negatives, but a user has only "
                        f"{drawable - most} labels that are not positives; use no more than the "
                        f"user with fewest has, or mode full"
                    )
                chosen: dict[int, None] = {}
                while len(chosen) < number:
                    for item in self.sampling(number).tolist():
                        if item not in used:
                            chosen[item] = None
                drawn[row] = list(chosen)[:number]
        return drawn


class RankSampler(Sampler):
    """Draws a user's negatives by their rank in popularity (LambdaFM, Yuan et al., CIKM 2016).

    ``p(item) ~ exp(-(rank + 1) / (rho * |Y|))``, the most frequent item of the training split has
    rank 0, ties are in the order of ids. Conure trains its recommendation tasks so, with rho 0.3.

    Args:
        dataset: the training split; its positives are never drawn for their user.
        rho: above 0; the smaller, the more often popular items are drawn.

    Raises:
        ConfigError: so small a rho that some user's negatives would hardly ever be drawn.
    """

    def __init__(self, dataset, rho: float) -> None:
        items = dataset.inter_feat[dataset.iid_field].numpy()
        counts = np.bincount(items, minlength=dataset.item_num)[1:]
        self.by_rank = 1 + np.argsort(-counts, kind="stable")
        labels = len(self.by_rank)
        probability = rank_probabilities(labels, rho)
        of_item = np.zeros(dataset.item_num)
        of_item[self.by_rank] = probability
        users = dataset.inter_feat[dataset.uid_field].numpy()
        # A source may have an item of a user several times.
        pairs = np.unique(users.astype(np.int64) * dataset.item_num + items)
        users, items = np.divmod(pairs, dataset.item_num)
        of_positives = np.bincount(users, of_item[items])
        if of_positives.max(initial=0) > 1 - LEAST_NEGATIVE:
            raise ConfigError(
                f"rank_rho {rho:g} draws next to nothing but the positives of some user; use a "
                f"larger one (Conure: 0.3)"
            )
        self.cumulative = np.cumsum(probability)
        super().__init__("train", dataset, distribution="rank")

    def sampling(self, sample_num: int) -> np.ndarray:
        """``[sample_num]`` item ids."""
        rank = np.searchsorted(self.cumulative, np.random.random(sample_num), "right")
        return self.by_rank[np.minimum(rank, len(self.by_rank) - 1)]


def rank_probabilities(labels: int, rho: float) -> np.ndarray:
    """``[labels]`` probability of each rank, most popular first."""
    weights = np.exp(-np.arange(labels) / (rho * labels))  # the + 1 cancels out
    return weights / weights.sum()
