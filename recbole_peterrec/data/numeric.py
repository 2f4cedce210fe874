"""Numbers as RecBole's engine reads them, where a column's texts come in pieces.

How pandas' Python engine rounds a number of more than 15 digits depends on the whole column: whole
numbers that have no other beside them are rounded once, numbers beside a fraction or a gap digit
by digit, and beside a cell that it does not take for a number, such as ``1_000``, as ``float`` does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

Way = Callable[[pd.Series], pd.Series]  # from texts to float64

LARGE = 2.0**53  # float64 tells all whole numbers up to here
# Between the blanks that pandas takes; Python makes no whole number of more digits.
WHOLE = r"(?a:\s*[+-]?[0-9]{1,4300}\s*)"
TRUTHS = dict.fromkeys(("True", "TRUE", "true"), 1.0)
TRUTHS |= dict.fromkeys(("False", "FALSE", "false"), 0.0)


class Undecided(Exception):
    """What else a column has decides what this piece's numbers are."""


def way_of(cells: pd.Series) -> Way:
    """How RecBole's engine reads a column of these cells, or of which they are :func:`telling`."""
    if cells.dropna().isin(TRUTHS).all():
        return _truths
    try:
        return _by_digits if pd.to_numeric(cells).dtype == np.float64 else _once
    except ValueError:
        return _once


def telling(texts: pd.Series) -> pd.Series:
    """A few cells of a piece of a column; those of all pieces are read as the column is."""
    cells = texts.drop_duplicates()
    whole = cells.str.fullmatch(WHOLE, na=False)
    numbers, others = cells[whole].tolist(), cells[~whole]
    ends = [min(numbers, key=int), max(numbers, key=int)] if numbers else []
    # At most two kinds of gaps, and what pandas takes for no number.
    odd = pd.to_numeric(others, errors="coerce").isna()
    few = [pd.Series(ends, dtype=object), others[odd].head(3), others[~odd].head(1)]
    return pd.concat(few, ignore_index=True)


def settled(column: pd.Series) -> pd.Series:
    """A piece's numbers, which are texts yet or were read by pandas' fast engine, digit by digit.

    What that engine read tells no whole number of more than 17 digits that begins with zeros.

    Raises:
        Undecided: other pieces may make others of them.
    """
    if column.dtype == np.float64:
        if (column.abs() >= LARGE).any():
            raise Undecided
        return column
    try:
        found = _once(column)
        same = found.equals(_by_digits(column))
    except ValueError as error:
        raise Undecided from error
    if not same:
        raise Undecided
    return found


def _once(texts: pd.Series) -> pd.Series:
    return texts.astype("float64")


def _by_digits(texts: pd.Series) -> pd.Series:
    with_fraction = pd.concat([texts, pd.Series(["0.5"])])
    return pd.to_numeric(with_fraction).iloc[:-1].astype("float64")


def _truths(texts: pd.Series) -> pd.Series:
    return _once(texts.map(lambda text: TRUTHS.get(text, text)))
