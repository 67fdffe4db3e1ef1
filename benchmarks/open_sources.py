"""Openly licensed pictures of stained tissue and cells, by source; see sources.py.

Beside the project in ``../shared/data/brightfield_open``: 19 sources of as many
laboratories, whose licences let weights that were learned from them be redistributed.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import tifffile
from skimage.transform import downscale_local_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looks import Array

FOLDER = Path(__file__).resolve().parents[2] / "shared/data/brightfield_open"
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".svs")
# Stored with red and blue swapped.
SWAPPED = ("camelyon16_he", "bcss_tcga_breast_he", "ocdc_oral_he")
# Sampled more finely than the optics can show.
FINE = ("breakhis_he_400x",)
# Turned by those who copied it: beside the middle, edges are smeared.
TURNED = ("pap_lbc_cytology",)
MIDDLE = 300
# What of a file's name tells slides or patients apart; files are apart where none does.
SLIDE = {
    "breakhis_he_400x": r"SOB_\w_\w+-\d+-(\w+)-",
    "camelyon16_he": r"^(10[0-6])",
    "kather2016_crc_he": r"HE-(\d+)",
    "mopadi_tcga_crc_he": r"(Tile)",
    "ocdc_oral_he": r"^(\d+)_",
    "osteosarcoma_tcia_he": r"((?:Case-\d+-(?:P5-)?|P9-)[A-Z]\d+)",
    "pap_lbc_cytology": r"^(\w+?_\d+)_",
    "rings_prostate_he": r"^(\d+)_",
    "tnbc_curie_he": r"^(\d+)_",
}
LICENCES = {
    "aidpath_kidney_pas": "CC BY 4.0",
    "bcss_tcga_breast_he": "CC0",
    "breakhis_he_400x": "CC BY 4.0",
    "brecahad_he": "CC BY 4.0",
    "camelyon16_he": "CC0",
    "chula_rbc_giemsa": "MIT",
    "crc_val_he_7k": "CC BY 4.0",
    "histolab_tcga_openslide_he": "Apache-2.0",
    "histolytics_hgsc_he": "BSD-3-Clause",
    "kather2016_crc_he": "CC BY 4.0",
    "mopadi_tcga_crc_he": "MIT",
    "ocdc_oral_he": "CC BY 4.0",
    "oscc_india_he_224": "CC BY 4.0",
    "osteosarcoma_tcia_he": "CC BY 3.0",
    "pap_lbc_cytology": "CC BY 4.0",
    "pbc_blood_giemsa": "CC BY 4.0",
    "rings_prostate_he": "CC BY 4.0",
    "skimage_ihc_dab": "no known restrictions",
    "tnbc_curie_he": "CC BY 4.0",
}
# Those of too few slides or patients for a row of their own are reported together.
SMALL = tuple(
    name
    for name in LICENCES
    if name
    not in (
        "chula_rbc_giemsa",
        "crc_val_he_7k",
        "oscc_india_he_224",
        "osteosarcoma_tcia_he",
        "pap_lbc_cytology",
        "pbc_blood_giemsa",
    )
)
# Models that are reported on one half learned from the other; kinds of image are in
# both, laboratories in one.
_FIRST = (
    "aidpath_kidney_pas",
    "bcss_tcga_breast_he",
    "breakhis_he_400x",
    "camelyon16_he",
    "chula_rbc_giemsa",
    "crc_val_he_7k",
    "histolytics_hgsc_he",
    "osteosarcoma_tcia_he",
    "pap_lbc_cytology",
)
HALVES = (_FIRST, tuple(name for name in LICENCES if name not in _FIRST))


def slides(name: str) -> Iterator[tuple[str, tuple[partial[Array], ...]]]:
    """Slides or patients of a source, and what reads their pictures."""
    known: dict[str, list[partial[Array]]] = {}
    for path in sorted((FOLDER / name).iterdir()):
        if path.suffix.lower() in ENDINGS:
            found = re.search(SLIDE.get(name, "^(.*)$"), path.stem)
            slide = found.group(1) if found else path.stem
            known.setdefault(f"{name} {slide}", []).append(partial(read, path))
    yield from ((slide, tuple(reads)) for slide, reads in known.items())


@cache
def read(path: Path) -> Array:
    """A picture (Y, X, 3) uint8 as it should be."""
    source = path.parent.name
    raw = tifffile.imread(path, series=0) if path.suffix == ".svs" else iio.imread(path)
    image = np.asarray(raw)[..., :3]
    if source in SWAPPED:
        image = image[..., ::-1]
    if source in FINE:
        image = np.rint(downscale_local_mean(image, (2, 2, 1))).astype(np.uint8)
    if source in TURNED and not path.name.startswith("NL"):
        y, x = (size // 2 - MIDDLE // 2 for size in image.shape[:2])
        image = image[y : y + MIDDLE, x : x + MIDDLE]
    return np.ascontiguousarray(image)
