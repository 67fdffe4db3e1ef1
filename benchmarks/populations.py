"""Populations that become frequent together, where they are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_disentangle.asking.populations import FineGroups, populations
from napari_disentangle.asking.topics import topics
from napari_disentangle.audit import logistic
from napari_disentangle.objects import kmeans

Array = NDArray[Any]
# Domains, replicates of each, and objects of these.
_DOMAINS, _WELLS = 8, 2


@dataclass(frozen=True, eq=False)
class Mixed:
    """Objects of known populations in domains that mix them differently."""

    values: Array
    true: Array
    domain: Array
    well: Array

    @property
    def table(self) -> dict[str, Array]:
        """As it is asked."""
        columns = {f"view {i + 1}": one for i, one in enumerate(self.values.T)}
        return {**columns, "domain": self.domain, "well": self.well}


# --- populations ----------------------------------------------------------------------
def dealt(
    kinds: Array,
    of: Sequence[int],
    concentration: float,
    per_well: int,
    rng: np.random.Generator,
    domains: int = _DOMAINS,
    wells: int = _WELLS,
) -> tuple[Array, Array, Array]:
    """Rows, domains and wells: populations in Dirichlet mixes, kinds as they come."""
    population = np.asarray(of)[kinds]
    mixes = rng.dirichlet(np.full(max(of) + 1, concentration), domains)
    rows, domain, well = [], [], []
    for d, mix in enumerate(mixes):
        for w in range(wells):
            drawn = rng.choice(len(mix), per_well, p=mix)
            rows += [rng.choice(np.flatnonzero(population == one)) for one in drawn]
            domain += per_well * [f"domain {d}"]
            well += per_well * [f"well {d}.{w}"]
    return np.array(rows), np.array(domain), np.array(well)


def accuracy(true: Array, told: Array) -> float:
    """Balanced accuracy after the best matching of numbers."""
    hit = matching(true, told)[told] == true
    return float(np.mean([hit[true == one].mean() for one in np.unique(true)]))


def matching(true: Array, told: Array) -> Array:
    """Which true number every told number is, -1 for none."""
    k = max(true.max(), told.max()) + 1
    counts = np.zeros((true.max() + 1, k))
    np.add.at(counts, (true, told), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    order = np.full(k, -1)
    rows, columns = linear_sum_assignment(-shares)
    order[columns] = rows
    return order


def by_topics(mixed: Mixed, k: int, seed: int) -> Array:
    """As the question does, whatever its guard says."""
    fine = FineGroups.of(_unit(mixed.values), k, mixed.well, seed)
    return populations(fine, mixed.domain, mixed.well, k, seed)[fine.kinds]


def by_kmeans(mixed: Mixed, k: int, seed: int) -> Array:
    """What is alike, whatever becomes frequent together."""
    values = _unit(mixed.values)
    return kmeans.nearest(values, kmeans.centres(values, k, seed))


def by_discriminator(mixed: Mixed, k: int, seed: int) -> Array:
    """DDFA: groups in the space of p(domain | object), then the same factors."""
    values = _unit(mixed.values)
    number = np.unique(mixed.domain, return_inverse=True)[1]
    logits = logistic.scores(logistic.fit(values, number), values)
    q = np.exp(logits - logits.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    kinds = kmeans.nearest(q, kmeans.centres(q, 3 * k, seed))
    counts = np.zeros((number.max() + 1, kinds.max() + 1))
    np.add.at(counts, (number, kinds), 1)
    made = topics(counts / counts.sum(1, keepdims=True), k, seed)
    of_domain = made.mixes / made.mixes.sum(0)  # p(domain | population)
    told = np.clip(q @ np.linalg.pinv(of_domain.T), 0, None)
    return np.asarray((told * made.mixes[number]).argmax(1))


def _unit(values: Array) -> Array:
    spread = values.std(0)
    return np.asarray((values - values.mean(0)) / np.where(spread > 0, spread, 1))


WAYS: Mapping[str, Callable[[Mixed, int, int], Array]] = {
    "k-means": by_kmeans, "discriminator": by_discriminator, "topics": by_topics,
}  # fmt: skip


# --- synthetic ------------------------------------------------------------------------
def blobs(
    seed: int, shift: float = 0.0, identical: bool = False, wells: int = 2
) -> Mixed:
    """Three populations of two distant blobs each, in ten domains of 400 objects.

    As in the planning run of latent label shift: 16 dimensions, noise of 1; ``shift``
    is the norm of an offset of every well.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3 / np.sqrt(2), (3, 2, 16))
    mixes = rng.dirichlet(np.ones(3), 10)
    if identical:
        mixes = np.tile(mixes[:1], (10, 1))
    parts = []
    for d, mix in enumerate(mixes):
        for w in range(wells):
            true = rng.choice(3, 400 // wells, p=mix)
            values = centres[true, rng.integers(2, size=len(true))]
            offset = rng.normal(size=16)
            values = values + shift * offset / np.linalg.norm(offset)
            parts.append((values + rng.normal(size=values.shape), true, d, w))
    return _joined(parts)


def plates(seed: int, shift: float) -> tuple[Mixed, Array]:
    """Three plates of eight treatments, each plate with an offset; and the plate."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3 / np.sqrt(2), (3, 2, 16))
    mixes = rng.dirichlet(np.ones(3), 8)
    parts, plate = [], []
    for number in range(3):
        offset = rng.normal(size=16)
        offset *= shift / np.linalg.norm(offset)
        for d, mix in enumerate(mixes):
            true = rng.choice(3, 150, p=mix)
            values = centres[true, rng.integers(2, size=150)] + offset
            parts.append((values + rng.normal(size=values.shape), true, d, number))
            plate += 150 * [f"plate {number}"]
    return _joined(parts), np.array(plate)


def _joined(parts: Sequence[tuple[Array, Array, int, int]]) -> Mixed:
    counts = [len(true) for _, true, _, _ in parts]
    return Mixed(
        np.concatenate([values for values, *_ in parts]),
        np.concatenate([true for _, true, *_ in parts]),
        np.repeat([f"domain {d}" for *_, d, _ in parts], counts),
        np.repeat([f"well {d}.{w}" for *_, d, w in parts], counts),
    )


# --- blood cells ----------------------------------------------------------------------
# Which population red cells, white cells and platelets are of.
COMPACT, TWO_LOOKS = (0, 1, 2), (0, 1, 1)
_KINDS = ("RBC", "WBC", "Platelets")


def mixes_of(
    values: Array,
    names: Array,
    of: Sequence[int],
    concentration: float,
    shift: float,
    seed: int,
) -> Mixed:
    """Cells in eight domains of two wells, with an offset of every well."""
    rng = np.random.default_rng(seed)
    kinds = np.array([_KINDS.index(name) for name in names])
    rows, domain, well = dealt(kinds, of, concentration, 45, rng)
    unit = _unit(values)[rows]
    offsets = rng.choice((-1, 1), (_DOMAINS * _WELLS, unit.shape[1])) * shift
    unit = unit + offsets[np.unique(well, return_inverse=True)[1]]
    return Mixed(unit, np.asarray(of)[kinds[rows]], domain, well)
