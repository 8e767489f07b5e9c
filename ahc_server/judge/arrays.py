"""Types of the judge's arrays, and the one number that all robust spreads share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Standard deviation of normal noise over its median absolute deviation.
MAD_TO_SIGMA = 1.4826
