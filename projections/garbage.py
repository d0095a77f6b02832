"""How a process of ours has Python look for garbage.

What is no longer used is freed at once, all the same: this is about cycles, of which there are hardly any.
"""

from __future__ import annotations

import gc


def look_seldom(*, after: int = 100_000) -> None:
    """Have cycles be looked for only `after` so many new objects from now on, and never among what there is already.

    States and rows, and all that is imported, are many small things: going through them again and again took a tenth of
    the time of projecting, and a third of that of a read.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(after, 50, 100)
