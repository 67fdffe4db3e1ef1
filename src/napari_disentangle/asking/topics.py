"""What becomes frequent together: counts of kinds per domain, as mixtures of topics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles

_RESTARTS, _ROUNDS, _LEAST = 10, 500, 1e-12
# What it costs to move a kind away from those it is like, in nats.
_PRICE = 1.0


@dataclass(frozen=True, eq=False)
class Topics:
    """Mixtures.

    Attributes
    ----------
    kinds
        Share of every kind in every topic, p(kind | topic) (K, M).
    mixes
        Share of every topic in every domain, p(topic | domain) (D, K).
    residual
        Mean divergence of the shares from what they are made of, in nats.
    agreement
        How alike restarts are: the mean share of kinds, by how frequent they are, that
        two of them put together or apart alike (Rand index).
    """

    kinds: Doubles
    mixes: Doubles
    residual: float
    agreement: float

    @property
    def likeliest(self) -> Array:
        """Topic of every kind (M,)."""
        return _likeliest(self.kinds, self.mixes)


def topics(shares: Doubles, k: int, seed: int = 0, restarts: int = _RESTARTS) -> Topics:
    """Find topics of which the shares of kinds in every domain are mixed.

    Nonnegative matrix factorisation with the Kullback-Leibler divergence by
    multiplicative updates (Lee and Seung 2001, "Algorithms for non-negative matrix
    factorization"), which is probabilistic latent semantic analysis (Hofmann 1999); the
    finite case of latent label shift (Roberts et al. 2022, arXiv 2207.13179).

    Parameters
    ----------
    shares
        p(kind | domain) (D, M).
    k
        Number of topics.
    seed, restarts
        Where they begin, and how often; the best is taken.
    """
    mixes, kinds = _factors(shares[None], k, seed, restarts)
    model = mixes @ kinds
    ratio = np.where(shares > 0, shares / np.maximum(model, _LEAST), 1.0)
    costs = (shares * np.log(ratio)).sum((1, 2)) / len(shares)
    best = int(costs.argmin())
    weight = shares.mean(0)
    found = [_likeliest(*both) for both in zip(kinds, mixes, strict=True)]
    alike = [_rand(found[best], other, weight) for other in found]
    return Topics(kinds[best], mixes[best], float(costs[best]), float(np.mean(alike)))


def assigned(counts: Array, alike: Array, found: Array, k: int) -> Array:
    """Topic of every kind (M,), if every kind is of one topic alone.

    The likeliest of what is alike (``alike``, by k-means) and of what becomes frequent
    together (``found``), each improved by moving one kind at a time. OUR CHOICE: of two
    that are as likely, what is alike stays together; every kind that is moved away from
    there costs one nat.

    Parameters
    ----------
    counts
        Objects of every kind in every domain (D, M).
    alike, found
        Topics to begin with (M,).
    k
        Number of topics.
    """
    begun = [(alike, 0.0), (alike, _PRICE), (found, 0.0)]
    ended = [_improved(counts, owner, k, price) for owner, price in begun]
    scores = [_likelihood(counts, one, k) - _PRICE * _moves(one, alike, k)
              for one in [alike, *ended]]  # fmt: skip
    return [alike, *ended][int(np.argmax(scores))]


def _improved(counts: Array, owner: Array, k: int, price: float) -> Array:
    """The same after all moves of one kind that are worth their price."""
    owner, kinds = owner.copy(), np.arange(counts.shape[1])
    while True:
        own = np.eye(k)[owner]
        sums, added = counts @ own, counts.T[:, :, None]
        less = _bits(sums[:, owner].T - counts.T, 1) - _bits(sums.T, 1)[owner]
        more = _bits((sums + added), 1) - _bits(sums, 0)
        gains = less[:, None] + more
        gains[kinds, owner] = 0
        gains[own.sum(0)[owner] == 1] = 0  # no topic is emptied
        kind, topic = np.unravel_index(gains.argmax(), gains.shape)
        if gains[kind, topic] <= price + 1e-9:
            return owner
        owner[kind] = topic


def _likelihood(counts: Array, owner: Array, k: int) -> float:
    """Log likelihood, to a constant."""
    return float(_bits(counts @ np.eye(k)[owner], 0).sum())


def _bits(sums: Array, axis: int) -> Doubles:
    """How well sums over domains, along an axis, are told by their total alone."""
    from scipy.special import xlogy

    total = sums.sum(axis)
    found: Doubles = xlogy(sums, sums).sum(axis) - xlogy(total, total)
    return found


def _moves(one: Array, other: Array, k: int) -> int:
    """How many kinds are of another topic, however topics are numbered."""
    from scipy.optimize import linear_sum_assignment

    both = np.zeros((k, k), int)
    np.add.at(both, (one, other), 1)
    return len(one) - int(both[linear_sum_assignment(-both)].sum())


def fitted(shares: Doubles, k: int, seed: int = 0) -> Array:
    """Topic of every kind, for many tables at once (N, D, M): (N, M)."""
    mixes, kinds = _factors(shares, k, seed, len(shares))
    both = zip(kinds, mixes, strict=True)
    return np.stack([_likeliest(*one) for one in both])


def _factors(shares: Doubles, k: int, seed: int, many: int) -> tuple[Doubles, Doubles]:
    """p(topic | domain) (N, D, K) and p(kind | topic) (N, K, M), from N beginnings."""
    rng = np.random.default_rng(seed)
    mixes = rng.dirichlet(np.ones(k), (many, shares.shape[1]))
    kinds = rng.dirichlet(np.ones(shares.shape[2]), (many, k))
    for _ in range(_ROUNDS):
        ratio = shares / np.maximum(mixes @ kinds, _LEAST)
        mixes = _shares(mixes * (ratio @ kinds.swapaxes(1, 2)))
        ratio = shares / np.maximum(mixes @ kinds, _LEAST)
        kinds = _shares(kinds * (mixes.swapaxes(1, 2) @ ratio))
    return mixes, kinds


def _shares(values: Doubles) -> Doubles:
    """The same with rows that sum to 1."""
    shares: Doubles = values / np.maximum(values.sum(-1, keepdims=True), _LEAST)
    return shares


def _likeliest(kinds: Doubles, mixes: Doubles) -> Array:
    """Topic of every kind (M,), by Bayes' rule with topics as frequent as they are."""
    return np.asarray((kinds * mixes.mean(0)[:, None]).argmax(0))


def _rand(one: Array, other: Array, weight: Doubles) -> float:
    """Share of pairs of kinds that both put together, or both apart."""
    pairs = np.outer(weight, weight)
    alike = (one[:, None] == one) == (other[:, None] == other)
    return float((pairs * alike).sum() / pairs.sum())
