"""What is taken out of codes: the look of blood cells, places under uneven light.

python benchmarks/without.py [--quick] [--seeds 0 1 2] [--of look position]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import codes
import coding
import finding
import numpy as np
from coding import Array, Known

import napari_disentangle as nd
from napari_disentangle.audit import recognise
from napari_disentangle.objects.coders.views.learn import learning
from napari_disentangle.objects.coders.views.use import Learned, Seen
from napari_disentangle.objects.nuisance import removal

# Light that is left in the corners, and as many groups as are compared.
_DARK, _LEVELS = 0.25, (2, 3, 4, 6, 8)
_STEPS, _FIELDS = 400, 40
_Rows = Iterator[tuple[str, list[float]]]
_Learn = Callable[[Seen], Callable[[Seen], Array]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--of", nargs="+", default=[*NUISANCES], choices=NUISANCES)
    args = parser.parse_args()
    for name in args.of:
        rows: dict[str, list[list[float]]] = {}
        for seed in args.seeds:
            for row, found in NUISANCES[name](seed, args.quick):
                rows.setdefault(row, []).append(found)
        _print(name, rows)


def _coders(seed: int, quick: bool) -> dict[str, _Learn]:
    """What learns from objects to code others."""
    steps = 5 if quick else _STEPS

    def views(seen: Seen) -> Learned:
        *_, last = learning([seen], seed, steps)
        weights = last.weights()
        assert weights is not None
        return Learned(weights.tensors)

    def colours(seen: Seen) -> Callable[[Seen], Array]:
        return lambda asked: codes.colours(seen, asked, seed, steps)

    return {codes.COLOURS: colours, "views": views}


# --- the look of blood cells ----------------------------------------------------------
def _look(seed: int, quick: bool) -> _Rows:
    """Codes less what tells the look, learned from other fields than are scored."""
    learn, score = coding.smears(seed, *((20, 12) if quick else ()))
    model = nd.fit(list(learn.objects.images))
    for sight, on in ((codes.RAW, None), (codes.CONTENT, model)):
        own, asked = (codes.seen_of(one.objects, on) for one in (learn, score))
        for name, begin in _coders(seed, quick).items():
            coder = begin(own)
            before = np.asarray(coder(asked), np.float32)
            objects = learn.objects.having({"look": learn.looks.astype(str)})
            taken = removal(objects, np.asarray(coder(own), np.float32), ["look"])
            yield f"{name} | {sight} | before", [0, *_told(before, score, seed)]
            after = _told(taken.apply(before), score, seed)
            yield f"{name} | {sight} | after", [taken.directions.shape[1], *after]


def _told(values: Array, score: Known, seed: int) -> list[float]:
    z, fields = coding.standard(values), [str(one) for one in score.fields]
    kinds = recognise(z, [str(one) for one in score.kinds], fields).accuracy
    few = [coding.told(values, score, shots, seed) for shots in (5, 20)]
    return [coding.look_read(values, score), float(kinds), *few]


# --- places under uneven light --------------------------------------------------------
def _position(seed: int, quick: bool) -> _Rows:
    """Nuclei of even fields, and of the same with dark corners."""
    group = finding.GROUPS[0]
    chosen = finding.paths(group, seed, 12 if quick else _FIELDS)[0]
    known = [one for one in finding.known(group, chosen) if one.labels.any()]
    even, uneven = (
        nd.Objects.of([change(one.image) for one in known], [k.labels for k in known])
        for change in (lambda image: image, _dark)
    )
    *_, last = nd.fit_coder_steps(even, seed=seed, steps=5 if quick else _STEPS)
    assert last.coder is not None
    for name, coder in (("measured", "measured"), ("views", last.coder)):
        true, shown = (nd.code(objects, coder) for objects in (even, uneven))
        left = shown.without("position")
        taken = left.removed[0]
        yield f"{name} | before", [taken.before, *_agreeing(true, shown)]
        yield f"{name} | after", [taken.after, *_agreeing(true, left)]
        yield f"{name} | by centres of the even ones", [np.nan, *_put(true, shown)]


def _dark(image: nd.Field) -> nd.Field:
    y, x = (np.linspace(-1, 1, n) for n in image.plane_shape)
    light = 1 - (1 - _DARK) * (y[:, None] ** 2 + x**2) / 2
    return nd.Field((image.data * light).astype(np.float32), "YX", name=image.name)


def _agreeing(one: nd.Codes, other: nd.Codes) -> Iterator[float]:
    groups = [nd.group(each, level=2) for each in (one, other)]
    for level in _LEVELS:
        numbers = [each.at(level).numbers - 1 for each in groups]
        yield coding.agreement(*numbers)


def _put(one: nd.Codes, other: nd.Codes) -> Iterator[float]:
    """Agreement if objects of the other are put into the groups of the one."""
    groups = nd.group(one, level=2)
    for level in _LEVELS:
        at = groups.at(level)
        yield coding.agreement(at.numbers - 1, at.of(other).numbers - 1)


# --- table ----------------------------------------------------------------------------
_COLUMNS = {
    "look": "codes | of | | directions | look read | kinds, all cells "
    "| 5 cells per kind | 20 cells per kind",
    "position": "codes | | R2 of position"
    + "".join(f" | agreement, {level} groups" for level in _LEVELS),
}
NUISANCES: dict[str, Callable[[int, bool], _Rows]] = {
    "look": _look,
    "position": _position,
}


def _print(name: str, rows: dict[str, list[list[float]]]) -> None:
    seeds = len(next(iter(rows.values())))
    print(f"\n{name}: {seeds} seeds; mean and spread over seeds\n")
    print(f"| {_COLUMNS[name]} |")
    print("|---" * (1 + _COLUMNS[name].count("|")) + "|")
    for row, found in rows.items():
        both = zip(np.nanmean(found, 0), np.nanstd(found, 0), strict=True)
        cells = " | ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in both)
        print(f"| {row} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
