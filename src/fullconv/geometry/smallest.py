"""The smallest size from which on every size fits: found in a bounded number of trials, whatever the net.

Maps of enough entries grow evenly: ``period`` pixels more give every layer a whole number of entries more. So from some side on a
net takes either all sides, or those of some remainders modulo the period, or none; a whole period of sides that fit, far enough
out, says that all beyond it do.
"""

import itertools
from collections.abc import Callable

from fullconv.errors import GeometryError

LIMIT = 2**20
"""Image side, in pixels, beyond which nothing is looked for."""
LONGEST = 2**13
"""The longest period that is tried side by side."""


def smallest(fits: Callable[[int], bool], period: int) -> int:
    """Return the smallest side from which on all fit.

    Parameters
    ----------
    fits
        Whether a side of so many pixels fits.
    period
        After how many pixels whether they fit repeats, once they are large enough.

    Raises
    ------
    GeometryError
        When there is none.

    Examples
    --------
    >>> smallest(lambda side: side in (2, 5) or side > 40, 8)
    41
    """
    if period > LONGEST:
        raise GeometryError(f"the net's layers repeat every {period} px only, more than the {LONGEST} that sizes are tried for")
    start = period * -(-64 // period)
    before: list[bool] = []
    while start <= LIMIT:
        found = [fits(side) for side in range(start, start + period)]
        if all(found) and before == found:
            return next(side for side in itertools.count(start, -1) if side == 1 or not fits(side - 1))
        if any(found) and found == before:
            good = next(side for side, fit in enumerate(found, start) if fit)
            raise GeometryError(
                f"there is no side from which on every size fits: of the sides from {start} to {start + period - 1} px, which go on "
                f"alike, {sum(found)} of {period} do, {good} among them; pad images to such a side"
            )
        before = found
        start *= 2
    raise GeometryError(f"no image side up to {LIMIT} px was found from which on every size fits")
