"""What a long piece of work tells while it runs: lines by the logger "hcl", bars by tqdm.

Both are shown where the logger lets INFO through, as the commands let it; in a script or notebook:
`logging.basicConfig(); logging.getLogger("hcl").setLevel(logging.INFO)`.
"""

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    Bar = tqdm[Any]
else:
    Bar = tqdm

SECONDS_IN_A_LOG = 15.0  # between two lines, where the bar cannot redraw itself
LINE = "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]"
logger = logging.getLogger("hcl")


class LogBar(Bar):
    """A bar where nothing can be redrawn, such as in a file: a plain line now and then, the first after a while."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line, unless one was written just now; tqdm asks far more often."""
        now = time.time()
        if msg == "" or now < getattr(self, "_next", self.start_t + self.mininterval):
            return
        self._next = now + self.mininterval
        self.fp.write(" ".join(str(self).split()) + "\n")  # without the blanks that align rates
        self.fp.flush()

    def clear(self, nolock: bool = False) -> None:
        """A line that was written stays."""

    def moveto(self, n: int) -> None:
        """There is no cursor."""

    def close(self) -> None:
        """Write a last line, where there were others."""
        if not self.disable and hasattr(self, "_next"):
            self._next = 0.0
            self.display()
        self.leave = False
        super().close()


def progress_bar(total: int, unit: str, what: str) -> Bar:
    """Make a bar with rate and time left; in a log it is a line now and then, and an empty task has none."""
    hidden = not total or not logger.isEnabledFor(logging.INFO)
    told: dict[str, Any] = {"total": total, "unit": unit, "desc": what, "disable": hidden}
    if sys.stderr.isatty():
        return tqdm(**told, mininterval=0.2, maxinterval=0.2)
    every: dict[str, Any] = {
        "mininterval": SECONDS_IN_A_LOG,
        "maxinterval": SECONDS_IN_A_LOG,
        "delay": SECONDS_IN_A_LOG,
    }
    return LogBar(**told, **every, bar_format=LINE)
