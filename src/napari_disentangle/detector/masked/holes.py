"""Which pixels a predictor must not look at: policies, and holes to train with.

A policy is a sequence of rounds; a round is a few masks (M, P, P), repeated over the
plane, that hide every pixel exactly once. So every pixel is predicted once per round,
from pixels other than itself, and where a mask lies depends on the place in the image
alone.
"""

from collections.abc import Callable
from itertools import product
from math import lcm

import numpy as np

from napari_disentangle.image.arrays import Mask

Masks = Mask
Policy = tuple[Masks, ...]

# Edges of the cells that training holes have, in pixels.
_CELLS = (4, 6, 8, 12, 16)


def grid(cell: int, offsets: int = 1) -> Policy:
    """Square cells with cells between them, moved by fractions of a cell.

    Astaraki et al. 2023 hide cells of a grid of twice their size and move it; there
    are 4 masks per round and ``offsets`` squared rounds.
    """
    quarter = np.zeros((2 * cell, 2 * cell), bool)
    quarter[:cell, :cell] = True
    corners = list(product((0, cell), repeat=2))
    masks = np.stack([np.roll(quarter, corner, (0, 1)) for corner in corners])
    moves = [i * cell // offsets for i in range(offsets)]
    return tuple(np.roll(masks, move, (1, 2)) for move in product(moves, repeat=2))


def period(policy: Policy) -> int:
    """Where a policy repeats, in pixels."""
    return lcm(*(masks.shape[-1] for masks in policy))


def spread(masks: Masks, shape: tuple[int, int]) -> Masks:
    """Masks (M, h, w) over a region that begins at a multiple of their period."""
    p, (h, w) = masks.shape[-1], shape
    return np.tile(masks, (1, -(-h // p), -(-w // p)))[:, :h, :w]


# --- training ---------------------------------------------------------------------
def draw(n: int, edge: int, rng: np.random.Generator) -> Masks:
    """Random holes (n, edge, edge): lines, discs or cells, OUR CHOICE of the mix."""
    return np.stack([_KINDS[rng.integers(len(_KINDS))](edge, rng) for _ in range(n)])


def _cells(edge: int, rng: np.random.Generator) -> Masks:
    masks: Masks = grid(int(rng.choice(_CELLS)))[0]
    move = rng.integers(masks.shape[-1], size=2)
    moved: Masks = spread(np.roll(masks[:1], move, (1, 2)), (edge, edge))[0]
    return moved


def _discs(edge: int, rng: np.random.Generator) -> Masks:
    y, x = np.mgrid[:edge, :edge]
    holes = np.zeros((edge, edge), bool)
    for _ in range(rng.integers(2, 12)):
        row, column = rng.uniform(0, edge, 2)
        holes |= np.hypot(y - row, x - column) < rng.uniform(2, 12)
    return holes


def _lines(edge: int, rng: np.random.Generator) -> Masks:
    y, x = np.mgrid[:edge, :edge]
    holes = np.zeros((edge, edge), bool)
    for _ in range(rng.integers(2, 8)):
        angle, row, column = rng.uniform((0, 0, 0), (np.pi, edge, edge))
        along = (y - row) * np.sin(angle) + (x - column) * np.cos(angle)
        across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        width, length = rng.uniform((1, 8), (5, 40))
        holes |= (np.abs(across) < width) & (np.abs(along) < length)
    return holes


_KINDS: tuple[Callable[[int, np.random.Generator], Masks], ...] = (
    _cells,
    _discs,
    _lines,
)
