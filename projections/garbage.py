"""How a process that does nothing but project has Python look for garbage.

What is no longer used is freed at once, all the same: this is about cycles, of which projecting makes hardly any.
"""

from __future__ import annotations

import gc


def look_seldom() -> None:
    """Have cycles be looked for seldom from now on, and never among what there is already.

    States and rows are many small things: going through all of them again and again took a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
