"""Write the golden files that are missing: `python -m tests.golden [--added]`.

`--added` accepts that released versions got new fields, if these have defaults. Nothing that is on file is overwritten.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.golden.files import FOLDER, HOW_TO_GO_ON, write


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write, and return 1 when a version was refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description="Write the missing golden files.")
    parser.add_argument("--added", action="store_true", help="accept new fields that have defaults")
    written, refused = write(folder, added=parser.parse_args(arguments).added)
    sys.stdout.write("".join(f"written: {event_type}\n" for event_type in written))
    if refused:
        sys.stderr.write("\n".join(map(str, refused)) + f"\n\n{HOW_TO_GO_ON}\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
