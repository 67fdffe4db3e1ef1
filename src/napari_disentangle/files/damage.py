"""What the libraries raise on damaged files becomes one sentence."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_disentangle.errors import DataError

# Damage surfaces wherever a library first trips over it.
_RAISED: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def readable(path: Path, kind: str, *own: type[Exception]) -> Iterator[None]:
    """Refuse a file that cannot be read.

    Parameters
    ----------
    path, kind
        The file, and what it should be, e.g. ``"TIFF"``.
    *own
        Errors of the library's own that derive from no other.

    Raises
    ------
    DataError
        Instead of what a damaged or foreign file makes a library raise.
    """
    try:
        yield
    except (*_RAISED, *own) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name!r} cannot be read as {kind} ({reason})") from error
