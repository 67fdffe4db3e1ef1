"""How long commands end: a signal stops them, and what is done is kept."""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from napari_disentangle.cli.stopping import Stopped

# Exit code where some images failed.
SOME_FAILED = 1
_Part = TypeVar("_Part")


@contextmanager
def ending(steps: Generator[_Part], cure: str) -> Iterator[Generator[_Part]]:
    """Steps that learn how they end: what stops the program does not cancel them."""
    try:
        yield steps
    except Stopped as stopped:
        print(f"\nwhat is done is kept: {cure}", file=sys.stderr)
        steps.throw(stopped)
    finally:
        steps.close()
