"""Everything that draws windows: one file per widget, nothing below imports it."""

from importlib.metadata import version

_LEAST = (0, 9)


def check_napari(found: str) -> None:
    """Refuse a napari that lacks what the windows are made of.

    Raises
    ------
    ImportError
        With what to do, which napari shows.
    """
    first = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if first < _LEAST:
        least = ".".join(map(str, _LEAST))
        raise ImportError(
            f"napari-disentangle needs napari {least} or newer, and this is {found}: "
            "install it anew, e.g. with pip install --upgrade napari"
        )


check_napari(version("napari"))
