"""How many labels codes need, and what a planted shortcut does to them.

python benchmarks/labels.py [--quick] [--seeds 5 6 7] [--of curve shortcut plk1 speed]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import codes
import coding
import imageio.v3 as iio
import numpy as np
import torch
from coding import Array, Known
from questions import print_table, table_of
from sources import DATA
from torch import nn

import napari_disentangle as nd
from napari_disentangle.asking.teach import FITS, LOGISTIC
from napari_disentangle.objects.coders.views.learn import learning
from napari_disentangle.objects.coders.views.net import Encoder
from napari_disentangle.objects.coders.views.use import Learned, Seen

Rows = Iterator[tuple[str, list[float]]]
_SHOTS, _DRAWS, _STEPS, _QUICK = (2, 5, 10, 20, 50, 100), 5, 400, 5
# Of 255, the largest change of a planted pattern, and the edge of its squares.
_PLANTED, _SQUARE = 16, 3
# Cells of every kind that are named to "teach".
_NAMED = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7])
    parser.add_argument("--of", nargs="+", default=[*PARTS], choices=PARTS)
    args = parser.parse_args()
    for name in args.of:
        rows: dict[str, list[list[float]]] = {}
        columns, part = PARTS[name]
        for seed in args.seeds:
            for row, found in part(seed, args.quick):
                rows.setdefault(row, []).append(found)
        print_table(name, columns, rows)


# --- learning curve -------------------------------------------------------------------
def _curve(seed: int, quick: bool) -> Rows:
    """Kinds of blood cells from so many labels per kind, in other fields."""
    sizes = (12, 20) if quick else (45, 180)
    learn, score = coding.smears(seed % 5, sizes[1], *((12,) if quick else ()))
    model = nd.fit(list(learn.objects.images))
    own, asked = (codes.seen_of(one.objects, model) for one in (learn, score))
    for fields in sizes:
        part = _rows(own, learn.fields < fields)
        *_, last = learning([part], seed, _QUICK if quick else _STEPS)
        weights = last.weights()
        assert weights is not None
        values = np.asarray(Learned(weights.tensors)(asked), float)
        unit = (values - values.mean(0)) / np.maximum(values.std(0), 1e-9)
        told = [_accuracy(score, shots, seed, _by_codes(unit)) for shots in _SHOTS]
        yield f"codes learned on {fields} fields", told
    scratch = _from_scratch(asked, 5 if quick else 120)
    draws = 1 if quick else 2
    told = [_accuracy(score, shots, seed, scratch, draws) for shots in _SHOTS]
    yield "a network from scratch", told


_Tell = Callable[[Array, Array, Array], Array]


def _accuracy(
    known: Known, shots: int, seed: int, tell: _Tell, draws: int = _DRAWS
) -> float:
    """Balanced accuracy in the fields that no label is of; as many as there are."""
    kinds = np.unique(known.kinds, return_inverse=True)[1]
    scores = []
    for draw in range(draws):
        rng = np.random.default_rng((seed, draw))
        fields = rng.permutation(np.unique(known.fields))
        shown = np.isin(known.fields, fields[: len(fields) // 2])
        rows = np.concatenate([
            rng.permutation(np.flatnonzero(shown & (kinds == k)))[:shots]
            for k in range(kinds.max() + 1)
        ])  # fmt: skip
        out = np.flatnonzero(~shown)
        hit = tell(rows, kinds[rows], out) == kinds[out]
        there = np.unique(kinds[out])
        scores.append(np.mean([hit[kinds[out] == k].mean() for k in there]))
    return float(np.mean(scores))


def _by_codes(values: Array) -> _Tell:
    return lambda rows, y, out: FITS[LOGISTIC](values[rows], y)(values[out]).argmax(1)


def _from_scratch(seen: Seen, steps: int) -> _Tell:
    """The encoder of the codes, learned from labels alone; turned and mirrored."""
    mean, std = (getattr(seen.values, f)((0, 2, 3), keepdims=True)
                 for f in ("mean", "std"))  # fmt: skip
    x = np.concatenate([(seen.values - mean) / std, seen.masks[:, None]], 1)
    x, sizes = torch.as_tensor(x).float(), torch.as_tensor(seen.sizes).float()

    def tell(rows: Array, y: Array, out: Array) -> Array:
        torch.manual_seed(0)
        net, last = Encoder(seen.values.shape[1]), nn.Linear(32, 3)
        both = [*net.parameters(), *last.parameters()]
        optimiser = torch.optim.AdamW(both, 3e-3)
        truth, chosen = torch.as_tensor(y), torch.as_tensor(rows)
        for step in range(steps):
            batch = torch.randint(len(rows), (min(64, 4 * len(rows)),))
            turned = torch.rot90(x[chosen[batch]], step % 4, (2, 3))
            turned = turned.flip(3) if step // 4 % 2 else turned
            told = last(net(turned, sizes[chosen[batch]]))
            loss = nn.functional.cross_entropy(told, truth[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        net.eval()
        with torch.no_grad():
            return np.asarray(last(net(x[out], sizes[out])).argmax(1))

    return tell


def _rows(seen: Seen, rows: Array) -> Seen:
    return Seen(seen.values[rows], seen.masks[rows], seen.sizes[rows])


# --- a planted shortcut ---------------------------------------------------------------
def _shortcut(seed: int, quick: bool) -> Rows:
    """Kinds learned from cells that carry a pattern of their kind, asked without it."""
    learn, score = coding.smears(seed % 5, *((20, 12) if quick else ()))
    planted = _planted(learn, seed)
    model = nd.fit(list(learn.objects.images))
    for sight, on in ((codes.RAW, None), (codes.CONTENT, model)):
        seen = [codes.seen_of(one, on) for one in (learn.objects, planted)]
        asked = codes.seen_of(score.objects, on)
        for name, coder in _coders(seed, quick).items():
            clean, marked = ([coder(one, one), coder(one, asked)] for one in seen)
            told = [_trained(own, learn.kinds, other, score.kinds)
                    for own, other in (clean, marked)]  # fmt: skip
            within = _trained(marked[0], learn.kinds, marked[0], learn.kinds)
            taught = [_taught(own, learn, other, score, seed)
                      for own, other in (clean, marked)]  # fmt: skip
            yield f"{name} | {sight}", [*told, within, *taught]


def _plates(seed: int, quick: bool) -> Rows:
    """The same pattern on all cells of half of the fields: a plate to be flagged."""
    _, score = coding.smears(seed % 5, *((12, 20) if quick else (1, 120)))
    halves = np.random.default_rng(seed).permutation(score.fields.max() + 1) % 2
    plate = halves[score.fields].astype(str)  # whatever the look is
    marked = _planted(replace(score, kinds=plate), seed)
    for name, objects in (("as they are", score.objects), ("with patterns", marked)):
        cells = codes.seen_of(objects, None)
        values = codes.colours(cells, cells, seed, 1)
        table = table_of(values, field=score.fields.astype(str), plate=plate)
        table["half"] = score.fields.astype(int) // 4 % 2
        asked = {"by": "half", "groups": "field", "batch": "plate"}
        row = nd.ask("separable", table, seed=seed, **asked).table[1]
        yield name, [row["balanced accuracy"], row["chance"], row["p"]]


def _planted(known: Known, seed: int) -> nd.Objects:
    """The same fields, with a pattern of at most 16 of 255 on cells of every kind."""
    kinds = np.unique(known.kinds, return_inverse=True)[1]
    objects, images = known.objects, []
    for number, image in enumerate(objects.images):
        rows = objects.of_image(number)
        of_label = np.zeros(1 + len(rows), int)
        of_label[objects.columns["label"][rows]] = kinds[rows] + 1
        h, w = image.plane_shape
        patterns = [_pattern(np.random.default_rng((seed, k)), h, w) for k in range(3)]
        drawn = np.stack([np.zeros((h, w, 3)), *patterns])
        marks = np.take_along_axis(
            drawn, of_label[objects.labels[number]][None, ..., None], axis=0
        )[0]
        pixels = np.clip(np.asarray(image.data, float) + marks, 0, 255)
        images.append(replace(image, data=np.rint(pixels).astype(np.uint8)))
    return nd.Objects.of(images, list(objects.labels))


def _pattern(rng: np.random.Generator, h: int, w: int) -> Array:
    """Squares that are lighter or darker, in every channel."""
    small = rng.choice((-_PLANTED, _PLANTED), (8, 8, 3)).repeat(_SQUARE, 0)
    small = small.repeat(_SQUARE, 1)
    times = (h // len(small) + 1, w // len(small) + 1, 1)
    return np.tile(small, times)[:h, :w]


def _coders(seed: int, quick: bool) -> dict[str, Callable[[Seen, Seen], Array]]:
    steps = _QUICK if quick else _STEPS
    return {
        codes.COLOURS: lambda own, asked: codes.colours(own, asked, seed, steps),
        "views": lambda own, asked: codes.viewed(own, asked, seed, steps),
    }


def _trained(own: Array, kinds: Array, asked: Array, truth: Array) -> float:
    """Balanced accuracy of logistic regression on all cells of a kind."""
    names, y = np.unique(kinds, return_inverse=True)
    mean, std = own.mean(0), np.maximum(own.std(0), 1e-9)
    fit = FITS[LOGISTIC]((own - mean) / std, y)
    told = names[fit((asked - mean) / std).argmax(1)]
    return float(np.mean([(told == k)[truth == k].mean() for k in names]))


def _taught(own: Array, learn: Known, asked: Array, score: Known, seed: int) -> float:
    """Balanced accuracy of "teach" with 20 names of every kind, in other fields."""
    rng = np.random.default_rng(seed)
    names = np.full(len(own) + len(asked), "", object)
    for kind in np.unique(learn.kinds):
        rows = rng.permutation(np.flatnonzero(learn.kinds == kind))[:_NAMED]
        names[rows] = kind
    fields = [*(f"a{f}" for f in learn.fields), *(f"b{f}" for f in score.fields)]
    table = table_of(np.concatenate([own, asked]), named=names, field=np.array(fields))
    found = nd.ask("teach", table, labels="named", groups="field", seed=seed)
    if not found.guard.passed:
        return np.nan
    told = found.columns["taught"][len(own) :]
    kinds = np.unique(score.kinds)
    return float(np.mean([(told == k)[score.kinds == k].mean() for k in kinds]))


# --- two fields -----------------------------------------------------------------------
def _plk1(seed: int, quick: bool) -> Rows:
    """Nuclei of a control and of an inhibited field: which group is of one alone."""
    folder = DATA / "neubias_images" / "image_data"
    images = [
        nd.Field(np.asarray(iio.imread(folder / f"xy_8bit__nuclei_PLK1_{name}.tif")),
                 "YX", name=name)
        for name in ("control", "inhibition")
    ]  # fmt: skip
    for sight, on in ((codes.RAW, None), (codes.CONTENT, nd.fit(images))):
        objects = nd.find_objects(images, on=on)
        measured = nd.code(objects, "measured", on=on)
        groups = nd.group(measured)
        columns = {**measured.columns(), "field": objects.columns["image"]}
        found = nd.ask("populations", columns, domain="field", k=2)
        print(f"{sight}: {found.statement}")
        uneven = measured.columns()["intensity spread"]
        for number in range(1, 1 + groups.level):
            own = groups.numbers == number
            counts = [float((own & (objects.columns["image number"] == i)).sum())
                      for i in (0, 1)]  # fmt: skip
            yield f"group {number} | {sight}", [*counts, uneven[own].mean()]


# --- seconds --------------------------------------------------------------------------
def _speed(seed: int, quick: bool) -> Rows:
    """Seconds of one core, of tables of 64 codes."""
    for n in (1000,) if quick else (10_000, 100_000):
        rng = np.random.default_rng(seed)
        well = rng.integers(24, size=n)
        values = rng.normal(size=(n, 64)).astype(np.float32)
        values[:, 0] += 3 * (rng.random(n) < 0.2 + 0.1 * (well % 2))
        names = np.full(n, "", object)
        names[:20], names[20:40] = "it", "other"
        table = table_of(values, well=well.astype(str), plate=well // 8, named=names,
                         treatment=np.where(well % 2, "drug", "control"))  # fmt: skip
        seconds, waits = [], []
        for question, options in (
            ("separable", {"by": "treatment", "groups": "well", "batch": "plate"}),
            ("populations", {"domain": "treatment", "groups": "well"}),
            ("teach", {"labels": "named", "groups": "well"}),
            ("typical", {"by": "treatment", "normal": "control", "groups": "well"}),
        ):
            ticks = [time.process_time()]
            for _ in nd.ask_steps(question, table, **options):
                ticks.append(time.process_time())
            seconds.append(ticks[-1] - ticks[0])
            waits.append(np.diff(ticks).max())
        yield f"{n:,} objects", seconds
        yield f"{n:,} objects, until Cancel is heeded", waits


PARTS: dict[str, tuple[str, Callable[[int, bool], Rows]]] = {
    "curve": (
        "labels per kind | seeds | " + " | ".join(map(str, _SHOTS)), _curve,
    ),
    "shortcut": (
        "codes | of | seeds | learned clean | learned with patterns "
        "| with patterns, where they are | taught clean | taught with patterns",
        _shortcut,
    ),
    "plates": ("fields | seeds | plate | chance | p", _plates),
    "plk1": ("group | of | runs | control | inhibited | spread of brightness", _plk1),
    "speed": ("table | seeds | separable | populations | teach | typical", _speed),
}  # fmt: skip


if __name__ == "__main__":
    main()
