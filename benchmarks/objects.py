"""Objects: how well they are found, by closed forms and by what learned from them.

python benchmarks/objects.py [--quick] [--seeds 0 1 2] [--groups fluo_256x256 ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import finding
import numpy as np
from finding import CLOSED, GROUPS, Found, Split

import napari_disentangle as nd
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects.finder import Finder
from napari_disentangle.objects.finding import content_of
from napari_disentangle.objects.student.learn import learning

Find = Callable[[Rendering, float], finding.Array]
RAW, CONTENT = "raw", "content-only"
_STEPS, _QUICK = 600, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--groups", nargs="+", default=GROUPS, choices=GROUPS)
    args = parser.parse_args()
    for group in args.groups:
        rows: dict[tuple[str, str, str], list[Found]] = {}
        for seed in args.seeds:
            for key, found in _one(group, seed, args.quick):
                rows.setdefault(key, []).extend(found)
        _print(group, rows, len(args.seeds))


def _one(
    group: str, seed: int, quick: bool
) -> Iterator[tuple[tuple[str, str, str], list[Found]]]:
    """Scores of every finder, what it sees, and the look, of one split."""
    known = finding.split(group, seed, 8 if quick else 107)
    model = nd.fit(known.learn)
    for sight, seen in ((RAW, None), (CONTENT, model)):
        finders = _finders(known, seen, seed, _QUICK if quick else _STEPS)
        for look, images in finding.under(known.score, seed):
            for name, find in finders.items():
                found = [
                    finding.scored(
                        find(content_of(one.image, seen), known.diameter),
                        one.labels,
                        known.diameter,
                    )
                    for one in images
                ]
                yield (name, sight, look), found


def _finders(
    known: Split, seen: nd.Model | None, seed: int, steps: int
) -> Mapping[str, Find]:
    finders: dict[str, Find] = {
        name: partial(finding.by_finder, Finder(name)) for name in CLOSED[:-1]
    }
    finders[CLOSED[-1]] = finding.by_local
    without = {"student without looks": False} if seen is not None else {}
    for name, looks in ({"student": True} | without).items():
        finders[name] = partial(
            finding.by_finder, _learned(known, seen, seed, steps, looks)
        )
    return finders


def _learned(
    known: Split, seen: nd.Model | None, seed: int, steps: int, looks: bool
) -> Finder:
    renderings = [content_of(image, seen) for image in known.learn]
    diameters = [known.diameter] * len(renderings)
    begin = time.process_time()
    for step in learning(renderings, diameters, seed, steps, looks):
        last = step
    spent = time.process_time() - begin
    told = f"{last.chosen} of {last.tiles} tiles, {spent:.0f} CPU-seconds"
    print(f"seed {seed}: {told}", file=sys.stderr, flush=True)
    finder = last.finder()
    assert finder is not None
    return finder


def _print(
    group: str, rows: Mapping[tuple[str, str, str], Sequence[Found]], seeds: int
) -> None:
    names = dict.fromkeys(key[:2] for key in rows)
    looks = list(dict.fromkeys(key[2] for key in rows))
    n = len(next(iter(rows.values())))
    print(f"\n{group}: {n} images held out, {seeds} seeds; Dice, its worst tenth, F1\n")
    print(f"| finder | sees | {' | '.join(looks)} |")
    print(f"|---|---|{'---|' * len(looks)}")
    for name, sight in names:
        cells = [_cell(rows[name, sight, look]) for look in looks]
        print(f"| {name} | {sight} | {' | '.join(cells)} |", flush=True)


def _cell(found: Sequence[Found]) -> str:
    dice = np.sort([one.dice for one in found])
    worst = dice[: max(1, len(dice) // 10)].mean()
    return f"{dice.mean():.3f}, {worst:.3f}, {np.mean([f.f1 for f in found]):.3f}"


if __name__ == "__main__":
    main()
