"""Names that are dealt by chance: how often they are told as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles

# Shuffles of few names at most, of many a fifth; names that are shuffled at once.
_SHUFFLES, _CELLS = 5000, 1_000_000


def chance(ways: Sequence[Array], y: Array, units: Array, seed: int) -> float:
    """How often shuffled names (n,) are told as well by the better way (n,).

    Between groups where every group has one name, else within groups.
    """
    rng = np.random.default_rng(seed)
    true = _best(ways, y[None])
    turns = min(_SHUFFLES, max(_SHUFFLES // 5, _CELLS // len(y)))
    step = max(1, _CELLS // len(y))
    parts = [min(step, turns - begin) for begin in range(0, turns, step)]
    dealt = [_best(ways, _shuffled(y, units, n, rng)) for n in parts]
    return float(np.mean(np.concatenate([true, *dealt]) >= true - 1e-12))


def _shuffled(y: Array, units: Array, n: int, rng: np.random.Generator) -> Array:
    """Names dealt anew so many times (n, rows)."""
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    whole = bool((y[first][unit] == y).all())
    if whole:
        return np.asarray(rng.permuted(np.tile(y[first], (n, 1)), axis=1)[:, unit])
    # rows of a group stay in it
    order = np.argsort(unit + rng.random((n, len(y))), axis=1)
    other = np.empty_like(order)
    other[:, np.argsort(unit, kind="stable")] = y[order]
    return other


def _best(ways: Sequence[Array], names: Array) -> Doubles:
    """Balanced accuracy of the better way, of many names (n, rows): (n,)."""
    own = [names == k for k in range(names.max() + 1)]
    scores = [
        np.mean([(one & (told == k)).sum(1) / np.maximum(one.sum(1), 1)
                 for k, one in enumerate(own)], axis=0)
        for told in ways
    ]  # fmt: skip
    best: Doubles = np.max(scores, axis=0)
    return best
