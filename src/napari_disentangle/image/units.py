"""Units: names as OME-Zarr and napari have them, symbols as OME-TIFF has them."""

import math

PIXEL = "pixel"
_LENGTHS = {
    "picometer": "pm",
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
}
_TIMES = {
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}
SYMBOLS = _LENGTHS | _TIMES
_NAMES = {symbol: name for name, symbol in SYMBOLS.items()}
# The second mu is the Greek letter, the third is how ImageJ writes the first.
_NAMES |= dict.fromkeys(("um", "μm", "\\u00B5m", "micron", "microns"), "micrometer")
_NAMES |= {"sec": "second"}
_PLAIN = {PIXEL: "px", "micrometer": "um", "microsecond": "us", "angstrom": "angstrom"}


def unit_name(unit: object, axis: str) -> str:
    """The name of a unit given by name or symbol; ``"pixel"`` if none for this axis."""
    name = _NAMES.get(str(unit), str(unit))
    return name if name in (_TIMES if axis == "T" else _LENGTHS) else PIXEL


def plain_symbol(unit: str) -> str:
    """The symbol of a unit in ASCII, for names of columns: ``"um"``, ``"px"``."""
    name = _NAMES.get(unit, unit)
    return _PLAIN.get(name) or SYMBOLS.get(name, name)


def is_size(size: float) -> bool:
    """Whether a pixel can be so large; negative along a mirrored axis."""
    return math.isfinite(size) and size != 0
