"""Questions to tables of objects, where the answer is known.

python benchmarks/questions.py [--quick] [--seeds 5 6 7 8 9] [--of populations teach]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache

import codes
import coding
import imageio.v3 as iio
import numpy as np
import populations as mixing
import torch
from coding import Array, Known
from sources import DATA, manifest
from torch import nn

import napari_disentangle as nd
from napari_disentangle.asking.columns import read_table
from napari_disentangle.asking.finding import Finding
from napari_disentangle.asking.teach import FITS
from napari_disentangle.audit import colour_features
from napari_disentangle.samples.cells import cells

Rows = Iterator[tuple[str, list[float]]]
_STEPS, _QUICK = 400, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--of", nargs="+", default=[*PARTS], choices=PARTS)
    args = parser.parse_args()
    for name in args.of:
        rows: dict[str, list[list[float]]] = {}
        columns, part = PARTS[name]
        begin = time.monotonic()
        for seed in args.seeds:
            for row, found in part(seed, args.quick):
                rows.setdefault(row, []).append(found)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
        print_table(name, columns, rows)


def print_table(name: str, columns: str, rows: dict[str, list[list[float]]]) -> None:
    """A table in Markdown: mean and spread over seeds."""
    print(f"\n{name}\n\n| {columns} |")
    print("|---" * (1 + columns.count("|")) + "|")
    for row, found in rows.items():
        both = zip(np.nanmean(found, 0), np.nanstd(found, 0), strict=True)
        cells = " | ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in both)
        print(f"| {row} | {len(found)} | {cells} |", flush=True)


def table_of(values: Array, **columns: Array) -> dict[str, Array]:
    """Codes with columns beside them."""
    named = {f"view {i + 1}": one for i, one in enumerate(values.T)}
    return {**named, **columns}


# --- blood cells, coded ---------------------------------------------------------------
@cache
def smears(seed: int, quick: bool) -> tuple[dict[str, Array], Known]:
    """Codes of cells of fields that no coder learned from, content-only and raw."""
    learn, score = coding.smears(seed, *((20, 12) if quick else ()))
    model = nd.fit(list(learn.objects.images))
    found: dict[str, Array] = {}
    for sight, on in ((codes.CONTENT, model), (codes.RAW, None)):
        found[f"measured, {sight}"] = nd.code(score.objects, "measured", on).values
        own, asked = (codes.seen_of(one.objects, on) for one in (learn, score))
        steps = _QUICK if quick else _STEPS
        found[f"views, {sight}"] = codes.viewed(own, asked, seed, steps)
    return {name: np.nan_to_num(one) for name, one in found.items()}, score


# --- populations ----------------------------------------------------------------------
def _synthetic(seed: int, quick: bool) -> Rows:
    """Blobs, with wells that are shifted or not, plates, and no difference at all."""
    for name, mixed in (
        ("blobs", mixing.blobs(seed)),
        ("wells shifted by 0.5", mixing.blobs(seed, 0.5)),
        ("wells shifted by 2", mixing.blobs(seed, 2.0)),
        ("identical domains", mixing.blobs(seed, identical=True)),
    ):
        yield name, _asked(mixed, 3, seed, mixed.table)
    mixed, plate = mixing.plates(seed, 2.0)
    table = {**mixed.table, "plate": plate}
    yield "plates shifted by 2", _asked(mixed, 3, seed, table)
    yield "the same, centred", _asked(mixed, 3, seed, table, batch="plate")


def _asked(
    mixed: mixing.Mixed, k: int, seed: int, table: dict[str, Array], **batch: str
) -> list[float]:
    """Accuracy, error of shares, whether it is refused, whether none is found."""
    options = {"domain": "domain", "groups": "well", "k": k, **batch}
    found = nd.ask("populations", table, seed=seed, **options)
    none = float("No shift" in found.statement)
    if not found.guard.passed:
        return [np.nan, np.nan, 1.0, none]
    told = found.columns["population"]
    return [mixing.accuracy(mixed.true, told), _error(mixed, told), 0.0, none]


def _error(mixed: mixing.Mixed, told: Array) -> float:
    """Mean absolute error of shares of populations in domains, after matching."""
    order = mixing.matching(mixed.true, told)
    true, found = ([
        [(one[mixed.domain == d] == y).mean() for y in np.unique(mixed.true)]
        for d in np.unique(mixed.domain)
    ] for one in (mixed.true, order[told]))  # fmt: skip
    return float(np.abs(np.subtract(true, found)).mean())


def _real(seed: int, quick: bool) -> Rows:
    """Blood cells in mixes: three compact kinds, or two of which one has two looks."""
    every, known = smears(seed % 5, quick)
    for name, values in every.items():
        for what, of, k in (
            ("compact", mixing.COMPACT, 3),
            ("two looks", mixing.TWO_LOOKS, 2),
        ):
            for concentration in (0.5, 3.0):
                for shift in (0.0, 0.5):
                    mixed = mixing.mixes_of(
                        values, known.kinds, of, concentration, shift, seed
                    )
                    scores = [
                        mixing.accuracy(mixed.true, way(mixed, k, seed))
                        for way in mixing.WAYS.values()
                    ]
                    refused = _asked(mixed, k, seed, mixed.table)[2]
                    row = f"{name} | {what} | {concentration} | {shift}"
                    yield row, [*scores, refused]


# --- separable ------------------------------------------------------------------------
def _separable(seed: int, quick: bool) -> Rows:
    """What neighbours tell, and what a trained network tells, of 20 designs."""
    rng = np.random.default_rng(seed)
    pairs = []
    for effect in (0.0, 0.5, 1.0, 2.0):
        for batch in (0.0, 0.75, 1.5, 2.25, 3.0):
            table = _design(effect, batch, rng)
            found = nd.ask("separable", table, by="class", groups="well", seed=seed)
            told = float(found.table[0]["balanced accuracy"])
            pairs.append((told, _trained(table, seed)))
    one, other = np.array(pairs).T
    ranks = [np.argsort(np.argsort(each)) for each in (one, other)]
    yield "20 designs", [float(np.corrcoef(*ranks)[0, 1]), one.mean(), other.mean()]


def _design(effect: float, batch: float, rng: np.random.Generator) -> dict[str, Array]:
    """Eight wells of 100 objects; the class is a property of the well."""
    well = np.repeat(np.arange(8), 100)
    kind = well % 2
    values = rng.normal(size=(len(well), 16))
    direction = rng.normal(size=16)
    values += effect * kind[:, None] * direction / np.linalg.norm(direction)
    offsets = rng.normal(size=(8, 16))
    offsets *= batch / np.linalg.norm(offsets, axis=1, keepdims=True)
    return table_of(values + offsets[well], well=well, **{"class": kind})


def _trained(table: dict[str, Array], seed: int) -> float:
    """Balanced accuracy of a small network, one well of every class left out."""
    columns = [table[f"view {i + 1}"] for i in range(16)]
    values = np.stack(columns, 1).astype(np.float32)
    kind, well = table["class"], table["well"]
    hits = []
    for a in range(0, 8, 2):
        for b in range(1, 8, 2):
            out = np.isin(well, (a, b))
            hits.append(_network(values[~out], kind[~out], values[out], seed)
                        == kind[out])  # fmt: skip
    return float(np.concatenate(hits).mean())


def _network(x: Array, y: Array, asked: Array, seed: int, steps: int = 60) -> Array:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 2))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2, weight_decay=1e-3)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(torch.as_tensor(x)), torch.as_tensor(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return np.asarray(net(torch.as_tensor(asked)).argmax(1))


def _separable_real(seed: int, quick: bool) -> Rows:
    """The kind of a blood cell, and the look of its field."""
    every, known = smears(seed % 5, quick)
    groups = known.fields.astype(str)
    for name, values in every.items():
        table = table_of(values, kind=known.kinds, field=groups,
                         look=known.looks.astype(str))  # fmt: skip
        found = nd.ask("separable", table, by="kind", groups="field", seed=seed)
        look = nd.ask("separable", table, by="look", groups="field", seed=seed)
        yield name, [*(float(one.table[0][key]) for one in (found, look)
                       for key in ("balanced accuracy", "p"))]  # fmt: skip


def _sources(seed: int, quick: bool) -> Rows:
    """Nuclei of three sources, which are flagged as batches; mitoses and scanners."""
    _, score = coding.nuclei(seed % 5, 8 if quick else 30)
    measured = nd.code(score.objects, "measured").values
    table = table_of(np.nan_to_num(measured), source=score.looks.astype(str),
                     image=score.fields.astype(str))  # fmt: skip
    found = nd.ask("separable", table, by="source", groups="image", seed=seed)
    yield "nuclei | source", _verdict(found)
    values, rows = _mitoses(seed, 90 if quick else 900)
    columns = {key: np.array([row[key] for row in rows])
               for key in ("majority_atypical", "scanner", "slide")}  # fmt: skip
    for by in ("majority_atypical", "scanner"):
        table = table_of(values, **columns)
        found = nd.ask("separable", table, by=by, groups="slide", seed=seed)
        yield f"mitoses | {by}", _verdict(found)


def _verdict(found: Finding) -> list[float]:
    row = found.table[0]
    told = " is separable" in found.statement
    return [row["balanced accuracy"], row["chance"], row["p"], float(told)]


def _mitoses(seed: int, most: int) -> tuple[Array, list[dict[str, str]]]:
    """Colours of patches of three scanners, and what is known of them."""
    folder = DATA / "histo_midog_3scanners"
    rows = manifest(folder)
    rng = np.random.default_rng(seed)
    chosen = [rows[i] for i in rng.permutation(len(rows))[:most]]
    pictures = (iio.imread(folder / row["file"])[..., :3] for row in chosen)
    values = [colour_features(np.moveaxis(one, -1, 0)) for one in pictures]
    return np.stack(values), chosen


# --- teach ----------------------------------------------------------------------------
def _concept(seed: int, quick: bool) -> Rows:
    """Large and dim cells from some examples of these and of others."""
    made = cells(2000, seed)
    is_it = (made.levels["size"] >= 3) & (made.levels["gain"] <= 2)
    n, edge = len(is_it), 32
    plane = made.pictures.reshape(40, 50, edge, edge).transpose(0, 2, 1, 3)
    labels = (made.masks * np.arange(1, n + 1)[:, None, None]).reshape(
        40, 50, edge, edge
    ).transpose(0, 2, 1, 3)  # fmt: skip
    image = nd.Field(plane.reshape(40 * edge, 50 * edge), "YX", name="cells")
    objects = nd.Objects.of(image, labels.reshape(40 * edge, 50 * edge))
    measured = nd.code(objects, "measured")
    order = objects.columns["label"] - 1
    truth = is_it[order]
    table = read_table(measured.columns())
    for shots in (5, 20):
        rng = np.random.default_rng((seed, shots))
        rows = np.concatenate([
            rng.permutation(np.flatnonzero(truth == one))[:shots] for one in (0, 1)
        ])  # fmt: skip
        rest = np.setdiff1d(np.arange(n), rows)
        y = truth[rows].astype(int)
        told = [np.diff(fit(table.values[rows], y)(table.values))[rest, 0]
                for fit in FITS.values()]  # fmt: skip
        found = [auc(one, truth[rest]) for one in told]
        names = {int(row): ("it" if truth[row] else "other") for row in rows}
        asked = nd.ask("teach", measured.columns(), labels=names, seed=seed)
        best = [row["column"] for row in asked.table if "column" in row][:3]
        hit = [any(_of(name, part) for name in best) for part in ("size", "gain")]
        yield f"{shots} examples", [*found, float(all(hit))]


def _of(name: str, part: str) -> bool:
    """Whether a column is of a factor."""
    sizes = ("area", "axis", "perimeter")
    return name.startswith(sizes if part == "size" else "intensity")


def auc(scores: Array, truth: Array) -> float:
    """Area under the curve."""
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 1
    n, m = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * m))


def _white_cells(seed: int, quick: bool) -> Rows:
    """White cells from five clicks each, told in other fields."""
    every, known = smears(seed % 5, quick)
    white = known.kinds == "WBC"
    for name, values in every.items():
        scores = []
        for draw in range(3 if quick else 20):
            rng = np.random.default_rng((seed, draw))
            fields = rng.permutation(np.unique(known.fields))
            shown = np.isin(known.fields, fields[: len(fields) // 2])
            rows = np.concatenate([
                rng.permutation(np.flatnonzero(shown & (white == one)))[:5]
                for one in (True, False)
            ])  # fmt: skip
            names = {int(row): "white" if white[row] else "other" for row in rows}
            found = nd.ask("teach", table_of(values), labels=names, seed=seed)
            told = found.columns.get("taught", np.full(len(white), "other")) == "white"
            scores.append(np.mean([(told == white)[~shown & (white == one)].mean()
                                   for one in (True, False)]))  # fmt: skip
        yield name, [float(np.mean(scores)), float(np.min(scores))]


# --- typical --------------------------------------------------------------------------
def _rare(seed: int, quick: bool) -> Rows:
    """Platelets, 2 % of all cells, among red and white ones."""
    every, known = smears(seed % 5, quick)
    rng = np.random.default_rng(seed)
    for name, values in every.items():
        others = np.flatnonzero(known.kinds != "Platelets")
        rare = rng.permutation(np.flatnonzero(known.kinds == "Platelets"))
        rare = rare[: max(2, round(0.02 * len(others)))]
        order = np.concatenate([others, rare])
        usual = np.where(np.arange(len(order)) < len(others), "usual", "")
        usual[rng.permutation(len(others))[: len(others) // 5]] = "new"
        usual[len(others) :] = "rare"
        table = table_of(values[order], what=usual)
        found = nd.ask("typical", table, by="what", normal="usual", seed=seed)
        p, truth = found.columns["typical p"], usual == "rare"
        asked = usual != "usual"
        gauss = mixture(values[order], usual == "usual", seed)
        yield name, [
            float((p[usual == "new"] <= 0.05).mean()),
            auc(-p[asked], truth[asked]), auc(gauss[asked], truth[asked]),
        ]  # fmt: skip


def mixture(values: Array, normal: Array, seed: int) -> Array:
    """Distance to the nearest of eight Gaussians of one spread, by column."""
    from napari_disentangle.objects import kmeans

    z = (values - values[normal].mean(0)) / np.maximum(values[normal].std(0), 1e-9)
    centres = kmeans.centres(z[normal], 8, seed)
    near = kmeans.nearest(z, centres)
    spread = (z[normal] - centres[near[normal]]).std(0)
    apart = ((z[:, None] - centres) / np.maximum(spread, 1e-9)) ** 2
    return np.asarray(apart.sum(2).min(1))


PARTS: dict[str, tuple[str, Callable[[int, bool], Rows]]] = {
    "populations": (
        "design | seeds | accuracy | error of shares | refused | no shift found",
        _synthetic,
    ),
    "mixes": (
        "codes | populations | Dirichlet | shift of wells | draws | k-means "
        "| discriminator | topics | refused",
        _real,
    ),
    "separable": (
        "designs | seeds | rank correlation | neighbours | network",
        _separable,
    ),
    "cells": ("codes | seeds | kind | p | look | p of the look", _separable_real),
    "sources": (
        "of | asked | seeds | accuracy | chance | p | called separable",
        _sources,
    ),
    "teach": (
        "large and dim | seeds | AUC, concepts | AUC, logistic "
        "| both factors in the top three",
        _concept,
    ),
    "white": ("codes | seeds | in other fields | worst", _white_cells),
    "typical": (
        "codes | seeds | p up to 0.05 of new usual cells | AUROC of rare ones "
        "| AUROC of Gaussians",
        _rare,
    ),
}


if __name__ == "__main__":
    main()
