"""Which objects become frequent together, and by how much."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_disentangle.asking.columns import Table
from napari_disentangle.asking.finding import (
    LEVEL,
    Finding,
    Guard,
    corrected,
    found,
    listed,
    p_text,
)
from napari_disentangle.asking.telling import evenly, joined
from napari_disentangle.asking.topics import assigned, fitted, topics
from napari_disentangle.audit.leak import recognise
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.objects import kmeans

# Objects of a domain at least; kinds per population, and how many there are.
_FEWEST, _PER, _KINDS = 20, 6, (12, 24)
# Replicates may be told apart by so much more than chance, of two of them.
_APART, _ROWS = 0.10, 400
# Objects of a replicate at least.
_SEEN = 5
# Three standard errors of an accuracy of chance, times the root of n.
_NOISE = 1.5
_SHUFFLES, _DRAWS, _LEARNED = 1000, 1000, 20_000
# Groups on both sides from which on an interval of their difference says something.
_GROUPS = 5


@dataclass(frozen=True)
class Populations:
    """Which objects become frequent together, and by how much.

    Attributes
    ----------
    domain
        Column in whose values the mix differs, such as the treatment.
    groups
        Column of the replicates of a domain: wells, slides, animals.
    batch
        Column of the batch, which is centred: every batch must have all domains.
    k
        Number of populations.
    """

    domain: str
    groups: str | None = None
    batch: str | None = None
    k: int = 2

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return tuple(one for one in (self.domain, self.groups, self.batch) if one)

    def asking(
        self, table: Table, seed: int, asked: int
    ) -> Generator[None, None, Finding]:
        """Answer from a table; yield wherever it can be stopped."""
        total, domain = len(table), table.role(self.domain, "domain")
        alone = self._unreplicated(table, domain)
        if alone:
            return found("populations", "", Guard(False, alone), said=table.said)
        domain = np.where(self._group(table, domain) == "", "", domain)
        kept, small = _large(domain, self.k, self.domain)
        table, domain = table.only(kept), domain[kept]
        group = self._group(table, domain)
        values, guard = self._centred(table, domain)
        guard = guard or self._few(asked)
        guard = guard or (yield from _guard(values, domain, group, seed))
        plot = dict(zip("xy", table.picture().T, strict=True))
        said = (*table.said, *small)
        if not guard.passed:
            return found("populations", "", guard, plot=plot, said=said)
        shift = yield from _shift(values, domain, group, self.k, seed)
        column = np.zeros(total, np.int32)
        column[kept] = plot["population"] = shift.number
        return found(
            "populations",
            self._claim(shift, corrected(shift.p, asked), asked),
            guard,
            {"population": column},
            shift.rows,
            plot,
            (*said, shift.remark),
        )

    def _few(self, asked: int) -> Guard | None:
        """Why no p can be small enough after so many questions."""
        if corrected(1 / (1 + _SHUFFLES), asked) <= LEVEL:
            return None
        return Guard(False, f"no p is small enough after {asked} questions")

    def _unreplicated(self, table: Table, domain: Array) -> str:
        """Why nothing says what two wells differ by anyway, or nothing."""
        pairs = {*zip(domain, self._group(table, domain), strict=True)}
        if len({pair for pair in pairs if all(pair)}) > len({*domain} - {""}):
            return ""
        return (
            f"no value of {self.domain!r} has two replicates, so that nothing says "
            "whether they differ by more than any two wells do"
        )

    def _group(self, table: Table, domain: Array) -> Array:
        """Replicates, each of one domain: a well of two domains is two."""
        if not self.groups:
            return domain
        columns = [table.role(self.groups, "groups"), domain]
        if self.batch:
            columns.append(table.role(self.batch, "batch"))
        known = np.all([one != "" for one in columns], axis=0)
        return np.where(known, joined(*columns), "")

    def _centred(self, table: Table, domain: Array) -> tuple[Doubles, Guard | None]:
        """Features without the mean of every batch, or why that must not be."""
        if not self.batch:
            return table.values, None
        batch = table.role(self.batch, "batch")
        values, names = table.values.copy(), np.unique(domain)
        for one in np.unique(batch):
            own = batch == one
            there = [own & (domain == name) for name in names]
            lacking = [d for d, r in zip(names, there, strict=True) if not r.any()]
            if lacking:
                why = (
                    f"{self.batch} {one} has no {listed(lacking)}, so that what it "
                    "differs by may be biology; leave it out"
                )
                return values, Guard(False, why)
            means = [table.values[rows].mean(0) for rows in there]
            values[own] -= np.mean(means, axis=0)
        return values / np.maximum(values.std(0), 1e-12), None

    def _claim(self, shift: _Shift, p: float, asked: int) -> str:
        """The largest difference, if there is more than by chance."""
        sizes = f"n = {shift.groups} groups ({self.groups})"
        times = f" of {asked} questions" if asked > 1 else ""
        told = f"{p_text(p)}{times}, {sizes} with {len(shift.number)} objects"
        if not p <= LEVEL:
            return f"No shift found between values of {self.domain!r} ({told})."
        most = max(shift.rows, key=lambda row: abs(row["difference"]))
        ends = (
            f"difference {most['low']:+.0%} to {most['high']:+.0%} at 95 %, "
            if "low" in most
            else ""
        )
        return (
            f"Population {most['population']} makes up {most['share']:.0%} of "
            f"{most['domain']} and {most['elsewhere']:.0%} elsewhere ({ends}{told})."
        )


@dataclass(frozen=True, eq=False)
class _Shift:
    """What was found.

    Attributes
    ----------
    number
        Population of every object, from 1, the largest, on (n,).
    rows
        Shares in every domain.
    p
        How often groups that are dealt to domains by chance differ as much.
    groups
        How many replicates there are.
    remark
        How sure the number of populations is, in a sentence.
    """

    number: Array
    rows: list[dict[str, Any]]
    p: float
    groups: int
    remark: str


def _shift(
    values: Doubles, domain: Array, group: Array, k: int, seed: int
) -> Generator[None, None, _Shift]:
    """Find populations, and how their shares differ."""
    fine = FineGroups.of(values, k, group, seed)
    yield
    shares, of = _shares(fine.kinds, group), _domains(group, domain)
    mean = _mean(shares, of)
    owner = populations(fine, domain, group, k, seed)
    number = np.asarray(_by_size(owner, fine.kinds, k)[owner][fine.kinds] + 1, np.int32)
    yield
    made = {one: topics(mean, one, seed) for one in range(max(1, k - 1), k + 2)}
    yield
    residuals = ", ".join(f"{t.residual:.3f} with {one}" for one, t in made.items())
    remark = (
        f"restarts agree by {made[k].agreement:.2f}; what populations leave "
        f"unexplained, in nats: {residuals}"
    )
    rows = _rows(number, domain, group, k, seed)
    yield
    return _Shift(number, rows, _p(shares, of, k, seed), len(shares), remark)


def populations(
    fine: FineGroups, domain: Array, group: Array, k: int, seed: int
) -> Array:
    """Population of every fine group (M,), from 0 on."""
    number = np.unique(domain, return_inverse=True)[1]
    counts = np.zeros((number.max() + 1, len(fine.alike)))
    np.add.at(counts, (number, fine.kinds), 1)
    shares = _mean(_shares(fine.kinds, group), _domains(group, domain))
    found = topics(shares, k, seed).likeliest
    return assigned(counts, fine.alike, found, k)


def _large(domain: Array, k: int, name: str) -> tuple[Array, tuple[str, ...]]:
    """Rows of domains that are large enough, and which are not."""
    names, counts = np.unique(domain[domain != ""], return_counts=True)
    small = names[counts < _FEWEST]
    if len(names) - len(small) < 2:
        raise DataError(
            f"{name!r} has fewer than two domains of at least {_FEWEST} objects: there "
            "is nothing to compare"
        )
    if not isinstance(k, int) or not 2 <= k <= 8:
        raise DataError(f"k is {k!r}: take 2 to 8 populations, as a whole number")
    if k > len(names) - len(small):
        raise DataError(
            f"{k} populations cannot be told from {len(names) - len(small)} domains: "
            "take fewer"
        )
    rows = np.flatnonzero((domain != "") & ~np.isin(domain, small))
    said = []
    if len(small):
        named = listed(small.tolist())
        said.append(f"left out, for fewer than {_FEWEST} objects: {named}")
    if (domain == "").any():
        said.append(f"{(domain == '').sum()} objects without these columns left out")
    return rows, tuple(said)


def _guard(
    values: Doubles, domain: Array, group: Array, seed: int
) -> Generator[None, None, Guard]:
    """Replicates of one domain must not be told apart."""
    found: dict[str, tuple[float, float]] = {}
    for one in np.unique(domain):
        names, sizes = np.unique(group[domain == one], return_counts=True)
        names = names[sizes >= _SEEN]
        own = np.flatnonzero(np.isin(group, names))
        if len(names) >= 2:
            apart = _apart(values[own], group[own], seed)
            yield
            found[str(one)] = apart, apart - _NOISE / np.sqrt(len(own))
    if not found:
        return Guard(False, "nothing that is large enough has two replicates")
    apart = float(np.mean([one for one, _ in found.values()]))
    worst = max(found, key=lambda name: found[name][1])
    figures = {"replicates told apart": apart}
    if found[worst][1] > 0.5 + _APART:
        why = (
            f"replicates of {worst} are told apart ({found[worst][0]:.2f}, chance "
            "0.50), so that these wells differ for technical reasons"
        )
        return Guard(False, why, figures)
    if apart > 0.5 + _APART:
        why = (
            f"replicates of one domain are told apart ({apart:.2f}, chance 0.50), so "
            "that these wells differ for technical reasons"
        )
        return Guard(False, why, figures)
    why = f"replicates of one domain are not told apart ({apart:.2f}, chance 0.50)"
    return Guard(True, why, figures)


def _apart(values: Doubles, group: Array, seed: int) -> float:
    """How well replicates are told apart, as if there were two of them."""
    names = np.unique(group)
    rows = evenly(group, _ROWS * len(names), seed)
    seen = recognise(values[rows], group[rows], np.arange(len(rows)), 2)
    chance = 1 / len(names)
    return 0.5 + 0.5 * (seen.accuracy - chance) / (1 - chance)


@dataclass(frozen=True, eq=False)
class FineGroups:
    """Objects in many small groups.

    Attributes
    ----------
    kinds
        Which of them every object is in (n,).
    alike
        Which of k large groups every one of them is in (M,).
    """

    kinds: Array
    alike: Array

    @classmethod
    def of(cls, values: Doubles, k: int, group: Array, seed: int) -> FineGroups:
        """By k-means along the main axes of values (n, F)."""
        few, most = _KINDS
        count = min(max(few, _PER * k), most, len(values) // 4)
        rows = evenly(group, _LEARNED, seed)
        seen = values @ kmeans.main_axes(values[rows])
        centres = kmeans.centres(seen[rows], count, seed)
        large = kmeans.centres(seen[rows], k, seed)
        kinds = kmeans.nearest(seen, centres)
        there, numbers = np.unique(kinds, return_inverse=True)
        return cls(numbers, kmeans.nearest(centres[there], large))


def _shares(kinds: Array, group: Array) -> Doubles:
    """p(kind | group) (G, M)."""
    keys, number = np.unique(group, return_inverse=True)
    counts = np.zeros((len(keys), kinds.max() + 1))
    np.add.at(counts, (number, kinds), 1)
    shares: Doubles = counts / counts.sum(1, keepdims=True)
    return shares


def _domains(group: Array, domain: Array) -> Array:
    """Number of the domain of every group (G,)."""
    first = np.unique(group, return_index=True)[1]
    return np.unique(domain[first], return_inverse=True)[1]


def _mean(shares: Doubles, of: Array) -> Doubles:
    """Mean of the groups of every domain (D, M), however large they are."""
    return np.stack([shares[of == d].mean(0) for d in range(of.max() + 1)])


def _by_size(owner: Array, kinds: Array, k: int) -> Array:
    """New numbers of populations: 0 is the largest."""
    sizes = np.bincount(owner[kinds], minlength=k)
    return np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")


def _p(shares: Doubles, of: Array, k: int, seed: int) -> float:
    """How often groups that are dealt to domains by chance differ as much.

    Populations are found anew for each, because those that were found are the ones that
    differ most.
    """
    rng = np.random.default_rng(seed)
    dealt = [of, *(rng.permutation(of) for _ in range(_SHUFFLES))]
    tables = np.stack([_mean(shares, one) for one in dealt])
    owner = fitted(tables, k, seed)
    mixes = np.stack([(tables * (owner == y)[:, None]).sum(2) for y in range(k)])
    spread = mixes.std(2).max(0)
    return float((spread >= spread[0] - 1e-12).mean())


def _rows(
    number: Array, domain: Array, group: Array, k: int, seed: int
) -> list[dict[str, Any]]:
    """Share of every population in every domain and elsewhere, with an interval."""
    mixes, of = _shares(number - 1, group), _domains(group, domain)
    mixes = np.pad(mixes, ((0, 0), (0, k - mixes.shape[1])))
    rng = np.random.default_rng(seed)
    rows = []
    for d, name in enumerate(np.unique(domain)):
        own, others = mixes[of == d], mixes[of != d]
        drawn = [
            one[rng.integers(len(one), size=(_DRAWS, len(one)))].mean(1)
            for one in (own, others)
        ]
        ends = np.percentile(drawn[0] - drawn[1], (2.5, 97.5), axis=0)
        enough = min(len(own), len(others)) >= _GROUPS
        for y in range(k):
            share, elsewhere = float(own[:, y].mean()), float(others[:, y].mean())
            rows.append({
                "domain": str(name), "population": y + 1, "share": round(share, 4),
                "elsewhere": round(elsewhere, 4),
                "difference": round(share - elsewhere, 4) + 0.0,
                **({"low": round(float(ends[0, y]), 4),
                    "high": round(float(ends[1, y]), 4)} if enough else {}),
                "groups": len(own),
            })  # fmt: skip
    return rows
