"""Palettes of the bundled smears: ``python benchmarks/palettes.py [--quick]``.

Writes ``docs/images/palettes.png``: the mauve smear, the rusty one, and the first in
the look of the second, and below them their palettes. ``--quick`` writes nothing.
"""

from __future__ import annotations

import sys

import imageio.v3 as iio
import numpy as np
import page
from swap import field_of

import napari_disentangle as nd
from napari_disentangle import audit
from napari_disentangle.samples import data

PICTURE = page.PAGE.parent / "images" / "palettes.png"
GAP = 12


def main(quick: bool) -> None:
    """Draw."""
    smears = [data.load(name) for name in ("blood_1", "blood_2")]
    image, donor = map(field_of, smears)
    model = nd.fit([image, donor], "affine")
    looks = model.attribute(image), model.attribute(donor)
    rows = audit.palettes(model, *looks)
    smears.append(model.swap(image, donor))
    height = min(len(smear) for smear in smears)
    width = smears[0].shape[1]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    above = [part for smear in smears for part in (smear[:height, :width], gap)][:-1]
    pictures = np.concatenate(above, axis=1)
    palettes = audit.picture(rows, pictures.shape[1])
    between = np.full((GAP, pictures.shape[1], 3), 255, np.uint8)
    if not quick:
        iio.imwrite(PICTURE, np.concatenate([pictures, between, palettes]))


if __name__ == "__main__":
    main("--quick" in sys.argv)
