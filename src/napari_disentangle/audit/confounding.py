"""Whether a design can tell a treatment from a batch at all."""

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import numbered

# Of Cramer's V; from here on, what is called biology may be nothing but the batch.
CONFOUNDED = 0.8


def cramers_v(one: ArrayLike, other: ArrayLike) -> float:
    """How far one label tells the other.

    Cramer 1946, "Mathematical methods of statistics", chapter 21.

    Parameters
    ----------
    one, other
        Two labels of every row (n,).

    Returns
    -------
    float
        0 if they are independent, 1 if one of them is known from the other; 0 if one
        of them is the same everywhere.
    """
    first = np.asarray(one)
    names, x = numbered(first, len(first), "batches")
    others, y = numbered(other, len(first), "biologies")
    least = min(len(names), len(others)) - 1
    if least < 1:
        return 0.0
    counts = np.zeros((len(names), len(others)))
    np.add.at(counts, (x, y), 1)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    squared = ((counts - expected) ** 2 / expected).sum()
    return float(np.sqrt(squared / counts.sum() / least))


def confounded(batch: ArrayLike, biology: ArrayLike) -> str:
    """One sentence if the two cannot be told apart, else nothing."""
    found = cramers_v(batch, biology)
    if found < CONFOUNDED:
        return ""
    return (
        f"the design is confounded (Cramer's V of batch and biology {found:.2f}): what "
        "differs between treatments may be nothing but the batch, and no method can "
        "tell them apart; put controls of every treatment into every batch"
    )
