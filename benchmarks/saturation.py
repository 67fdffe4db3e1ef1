"""False alarms under new looks: of looks that keep what is there, and that saturate.

``python benchmarks/saturation.py`` fits the default detector as ``anomaly.py`` does and
scores the same normal images under that look and four more, apart by how many pixels a
look drives to the end of their range, where what was there is gone. It writes its
section of ``docs/benchmarks.md``; ``--quick`` prints a few on synthetic tissue.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING
from zlib import crc32

import anomaly
import numpy as np
import page
import report
import torch
from results import bootstrap, interval
from swap import field_of

from napari_disentangle.detector import registry as detection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looks import Array

    from napari_disentangle.detector.detector import Detector

COMMAND = "python benchmarks/saturation.py"
STUDIES = ("nuclei", "small nuclei", "violet", "white cells")
# Share of the pixels of an image that a look may saturate before it counts as one
# that does.
FEW = 0.01
# Looks of every image and draw; the first is that of the benchmark.
LOOKS = 5

METHOD = """\
## Anomaly detectors: looks that saturate

Under some new looks `{detector}` calls far more than 0.05 of a normal image odd at
p < {alpha:g}. Here are the normal images of the benchmark above ({draws} draws of those
to fit on), each under {looks} looks, of which the first is that of the benchmark. They
are told apart by the share of pixels that the look newly drives to the end of their
range in some channel: there what was seen before is gone, and no model brings it back.
*Keeps*: at most {few:g} of the pixels; *saturates*: more. Shares of pixels called odd,
with intervals over images, and how many images and looks. *Said*: of how many of those
that are saturated a person is told so with the result.
"""


@dataclass(frozen=True)
class Alarm:
    """An image under a look.

    Attributes
    ----------
    study, group
        Where it is from; looks at the same image belong together.
    saturated
        Share of the pixels that the look newly saturates.
    said
        Whether the model says of the image under the look that pixels are saturated.
    before, after
        Share of the pixels called odd, without the look and under it.
    """

    study: str
    group: str
    saturated: float
    said: bool
    before: float
    after: float


def newly_saturated(image: Array, changed: Array) -> float:
    """Share of pixels with a channel at an end of its range that was not before."""
    colours = -1 if image.shape[-1] == 3 else 0
    ends = [(x == 0) | (x == np.iinfo(x.dtype).max) for x in (image, changed)]
    return float((ends[1] & ~ends[0]).any(axis=colours).mean())


def alarms(place: tuple[str, int], steps: int) -> list[Alarm]:
    """All normal images of a study that are scored, with one of its seeds."""
    torch.set_num_threads(1)
    name, seed = place
    study = anomaly.study_of(name, seed)
    job = anomaly.Job(name, "", "", detection.named("default"), seed, steps, raw=False)
    detector, _ = anomaly.fitted(study, job, "content")
    found = []
    for i, image in enumerate(study.clean):
        before = odd_share(detector, image)
        for number in range(i, LOOKS * len(study.clean), len(study.clean)):
            changed = anomaly.moved(image, study, number)
            found.append(
                Alarm(
                    study.name,
                    str(crc32(image.tobytes())),
                    newly_saturated(image, changed),
                    "saturated" in " ".join(detector.on.inspect(field_of(changed))),
                    before,
                    odd_share(detector, changed),
                )
            )
    return found


def odd_share(detector: Detector, image: Array) -> float:
    """Share of the pixels of an image that is called odd."""
    return float((anomaly.look(detector, image).p < anomaly.ALPHA).mean())


def section(names: Sequence[str], seeds: Sequence[int], processes: int) -> str:
    """The section as Markdown."""
    work = partial(alarms, steps=anomaly.STEPS)
    with ProcessPoolExecutor(processes) as pool:
        parts = list(pool.map(work, product(names, seeds)))
    found = [alarm for part in parts for alarm in part]
    head = ["study", "no look", "all looks", "looks that keep", "looks that saturate"]
    studies = list(dict.fromkeys(alarm.study for alarm in found))
    lines = [_line(name, [a for a in found if a.study == name]) for name in studies]
    head.append("said")
    words = METHOD.format(
        looks=LOOKS,
        detector=detection.named("default"),
        alpha=anomaly.ALPHA,
        few=FEW,
        draws=len(seeds),
    )
    return page.section(COMMAND, words, report.table(head, lines))


def _line(name: str, every: Sequence[Alarm]) -> list[str]:
    kept = [alarm for alarm in every if alarm.saturated <= FEW]
    lost = [alarm for alarm in every if alarm.saturated > FEW]
    none = _cell([(alarm.group, alarm.before) for alarm in every[::LOOKS]])
    under = [
        _cell([(alarm.group, alarm.after) for alarm in a]) for a in (every, kept, lost)
    ]
    said = f"{sum(alarm.said for alarm in lost)} of {len(lost)}"
    return [name, none, *under, said]


def _cell(shares: Sequence[tuple[str, float]]) -> str:
    if not shares:
        return "none"
    return f"{interval(bootstrap(shares), '.3f')} ({len(shares)})"


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few images, printed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    if given.quick:
        sys.stdout.write(section([anomaly.QUICK], (0,), 1))
        return
    page.put(section(STUDIES, anomaly.SEEDS, given.processes))


if __name__ == "__main__":
    main()
