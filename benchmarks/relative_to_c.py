"""Harvests relative to the same loops in C: a history that machines and hours move little."""

import numpy as np

from benchmarks.harvest_against_c import KERNELS, Contest, c_compiler, compile_c
from benchmarks.machine_costs import build
from strategies.errors import InputError

SLOT_BYTES = 16 << 20


class RelativeToC:
    """A harvest's time over that of the loop in `harvest.c`, both taken in turn on one machine."""

    param_names = ("strategy", "density")
    params = (list(KERNELS), [0.01, 0.3])
    version = "1"

    def setup(self, strategy, density):
        """Have both over the same tables, checked; without a C compiler the cell is left out."""
        try:
            function = compile_c(c_compiler())[strategy]
            self.contest = Contest(build(SLOT_BYTES, "linear"), strategy, function, density)
        except InputError as error:
            raise NotImplementedError(str(error)) from error  # asv's way to leave a cell out
        self.contest.verify()

    def track_relative_to_c(self, *_params):
        """Return the median ratio of compiled Python to C."""
        ns = self.contest.measure()
        return float(np.median(ns[:, 0] / ns[:, 1]))

    track_relative_to_c.unit = "times C"
