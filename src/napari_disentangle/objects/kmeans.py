"""K-means: centres by k-means++ (Arthur and Vassilvitskii 2007), the best of tries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles

# Rows that centres are learned from or compared with at a time; rounds, and how often
# from anew.
ROWS, _ROUNDS, _TRIES = 20_000, 50, 4
# Main axes that are looked at: along the others there is mostly noise, by which groups
# would differ from one try to the next (OUR CHOICE).
_AXES = 6


def main_axes(z: Doubles) -> Doubles:
    """The directions in which codes vary most (L, A)."""
    _, axes = np.linalg.eigh(z.T @ z)
    main: Doubles = axes[:, ::-1][:, :_AXES]
    return main


def nearest(z: Doubles, centres: Doubles) -> Array:
    """The number of the nearest centre of every row (n,)."""
    found: Array = np.concatenate([*_distances(z, centres)]).argmin(1)
    return found


def _distances(z: Doubles, centres: Doubles) -> Iterator[Doubles]:
    """Squared distances of rows to centres, some rows at a time, to a constant."""
    for begin in range(0, len(z), ROWS):
        part = z[begin : begin + ROWS]
        yield (centres**2).sum(1) - 2 * part @ centres.T


def centres(z: Doubles, count: int, seed: int) -> Doubles:
    """The best of several tries (K, L)."""
    rng = np.random.default_rng(seed)
    tries = [_settled(z, _spread(z, count, rng)) for _ in range(_TRIES)]
    return min(tries, key=lambda one: one[1])[0]


def _spread(z: Doubles, count: int, rng: np.random.Generator) -> Doubles:
    """Rows that lie far from one another, or fewer if there are not as many."""
    chosen = [z[rng.integers(len(z))]]
    apart = ((z - chosen[0]) ** 2).sum(1)
    while len(chosen) < count and apart.max() > 1e-12:
        row = rng.choice(len(z), p=apart / apart.sum())
        chosen.append(z[row])
        apart = np.minimum(apart, ((z - z[row]) ** 2).sum(1))
    return np.stack(chosen)


def _settled(z: Doubles, centres: Doubles) -> tuple[Doubles, float]:
    """Centres in the middle of the rows that are nearest to them, and their cost."""
    for _ in range(_ROUNDS):
        own = np.eye(len(centres))[nearest(z, centres)]
        counts = own.sum(0)[:, None]
        moved = np.where(counts > 0, own.T @ z / np.maximum(counts, 1), centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    cost = np.concatenate([*_distances(z, centres)]).min(1).sum()
    return centres, float(cost)
