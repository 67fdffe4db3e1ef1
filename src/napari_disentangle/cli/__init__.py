"""The command line. It begins here, so that Ctrl-C is heeded while it is imported."""

import os
import sys
from collections.abc import Sequence

from napari_disentangle.cli.stopping import Stopped, heed, ignore


def begin(args: Sequence[str] | None = None) -> None:
    """Run the command line, and leave with its exit code.

    What a person must act on is one sentence on stderr and exit code 2; a run in which
    some images failed ends with 1, Ctrl-C with 130, SIGTERM with 143.
    """
    try:
        heed()
        from napari_disentangle.cli.main import main

        try:
            main(args)
        finally:
            ignore()
    except Stopped as stopped:
        print("napari-disentangle: stopped", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        # at once: threads of libraries that are still at it abort a slower end
        os._exit(128 + stopped.number)
