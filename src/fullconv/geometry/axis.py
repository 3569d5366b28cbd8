"""The calculus on one axis: what a layer does to sizes, intervals of indices and coordinates, in exact numbers.

Every layer is described by four functions. With ``n`` the number of input indices, ``[a, b]`` an interval of
indices (ends included) and coordinates measured in pixels of the image, pixel ``i`` having its centre at ``i``:

========================  ==========================================================================
``size(n)``               how many outputs there are
``sources(a, b)``         the interval of inputs that the outputs ``a..b`` read
``targets(a, b)``         the interval of outputs that read any of the inputs ``a..b``
``compose(place)``        the outputs' coordinates, given the inputs': ``stride * index + offset``
========================  ==========================================================================

A convolution and the transposed convolution with the same numbers are each other's reverse: ``sources`` of one is
``targets`` of the other. From this alone the crops 19, 31 and 18 of the reference implementation follow
(Long et al. 2015, section 3.3; the reference computes them in ``caffe/coord_map.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

from fullconv.errors import GeometryError


class Place(NamedTuple):
    """Where the outputs of a layer lie on the image: output ``i`` is centred at pixel ``stride * i + offset``."""

    stride: Fraction
    offset: Fraction


class AxisMap(Protocol):
    """What a layer does along one axis."""

    def size(self, n: int) -> int:
        """Return the number of outputs for ``n`` inputs; below 1 means that ``n`` is too small."""

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the interval of inputs that the outputs ``a..b`` read (empty when its end is below its start)."""

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return the interval of outputs that read any of the inputs ``a..b``."""

    def compose(self, place: Place) -> Place | None:
        """Return where the outputs lie, given where the inputs lie; ``None`` when they have no position."""


@dataclass(frozen=True)
class Window:
    """A convolution or a pooling: output ``i`` reads ``kernel`` inputs, ``dilation`` apart, from ``stride*i - before``.

    Its output lies in the middle of the inputs that it reads; ``lean`` inputs behind that, where weights are known to read
    elsewhere.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False
    lean: Fraction = Fraction(0)

    @property
    def extent(self) -> int:
        """Distance from the first to the last input that an output reads."""
        return self.dilation * (self.kernel - 1)

    def size(self, n: int) -> int:
        """Return the number of outputs; in ceil mode a last window must still start inside the input or its left pad."""
        room = n + self.before + self.after - self.extent - 1
        if room < 0 and not self.ceil:
            return 0
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= n + self.before else count

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the inputs from the first of window ``a`` to the last of window ``b``."""
        return self.stride * a - self.before, self.stride * b - self.before + self.extent

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return the windows that overlap ``a..b``."""
        return -((self.extent - self.before - a) // self.stride), (b + self.before) // self.stride

    def compose(self, place: Place) -> Place:
        """Return the centres of the windows."""
        shift = Fraction(self.extent, 2) - self.before + self.lean
        return Place(place.stride * self.stride, place.offset + place.stride * shift)


POINTWISE = Window()


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution (deconvolution): input ``i`` is spread over ``kernel`` outputs from ``stride*i - padding``."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    output_padding: int = 0

    @property
    def forward(self) -> Window:
        """The convolution that this reverses."""
        return Window(self.kernel, self.stride, self.dilation, self.padding, self.padding)

    def size(self, n: int) -> int:
        """Return ``(n - 1) * stride - 2 * padding + extent + 1 + output_padding``."""
        return (n - 1) * self.stride - 2 * self.padding + self.forward.extent + 1 + self.output_padding

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the inputs whose spread overlaps the outputs ``a..b``."""
        return self.forward.targets(a, b)

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return the outputs that the inputs ``a..b`` are spread over."""
        return self.forward.sources(a, b)

    def compose(self, place: Place) -> Place:
        """Return the outputs' coordinates: the coarse grid, ``stride`` times finer."""
        fine = place.stride / self.stride
        return Place(fine, place.offset + fine * (self.padding - Fraction(self.forward.extent, 2)))


@dataclass(frozen=True)
class Pad:
    """``before`` new entries in front and ``after`` behind; ``after`` may depend on the size. Negative numbers crop.

    What the new entries hold: a constant, the nearest entry (``replicate``), or the entry mirrored at the border (``reflect``).
    """

    before: int
    after: int | Callable[[int], int] = 0
    fill: Literal["constant", "replicate", "reflect"] = "constant"

    def size(self, n: int) -> int:
        """Return ``n + before + after``; nothing is left of an input that is too small to be mirrored so far."""
        after = self.after if isinstance(self.after, int) else self.after(n)
        if self.fill == "reflect" and max(self.before, after) >= n:
            return 0
        return n + self.before + after

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the same entries, counted without the padding."""
        return a - self.before, b - self.before

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return the same entries, counted with the padding."""
        return a + self.before, b + self.before

    def fold(self, a: int, b: int, n: int) -> tuple[int, int]:
        """Return the interval of ``n`` inputs that the entries ``a..b``, counted as inputs, are filled from."""
        if self.fill == "constant" or a > b:
            return a, b
        if self.fill == "replicate":
            return min(max(a, 0), n - 1), min(max(b, 0), n - 1)
        end = 2 * (n - 1)
        parts = [(max(a, 0), min(b, n - 1)), (max(-b, 1), -a), (end - b, min(end - a, n - 2))]
        found = [part for part in parts if part[0] <= part[1]]
        return min(low for low, _ in found), max(high for _, high in found)

    def unfold(self, a: int, b: int, n: int) -> tuple[int, int]:
        """Return the interval of outputs that the inputs ``a..b`` of ``n`` change, those filled from them included."""
        after = self.size(n) - self.before - n
        found = [(a, b)]
        if self.fill == "replicate":
            found += [(-self.before, 0)] * (a <= 0 <= b) + [(n - 1, n - 1 + after)] * (a <= n - 1 <= b)
        if self.fill == "reflect":
            front, back = (max(a, 1), min(b, self.before)), (max(a, n - 1 - after), min(b, n - 2))
            found += [(-high, -low) for low, high in [front] if low <= high]
            found += [(2 * (n - 1) - high, 2 * (n - 1) - low) for low, high in [back] if low <= high]
        return self.targets(min(low for low, _ in found), max(high for _, high in found))

    def compose(self, place: Place) -> Place:
        """Return the coordinates shifted by the padding."""
        return Place(place.stride, place.offset - self.before * place.stride)


@dataclass(frozen=True)
class Slice:
    """Every ``step``-th entry from ``start`` on, to ``stop`` as Python counts it: from the end when negative, or all."""

    start: int
    stop: int | None = None
    step: int = 1

    def size(self, n: int) -> int:
        """Return how many entries a Python slice takes of ``n``."""
        return len(range(*slice(self.start, self.stop, self.step).indices(n)))

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the entries that ``a..b`` were taken from."""
        return self.start + self.step * a, self.start + self.step * b

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return which of the entries taken lie in ``a..b``."""
        return -((self.start - a) // self.step), (b - self.start) // self.step

    def compose(self, place: Place) -> Place:
        """Return the coordinates of the entries taken."""
        return Place(place.stride * self.step, place.offset + place.stride * self.start)


@dataclass(frozen=True)
class Blocks:
    """Entries in blocks of ``side``, each block becoming channels of one output (space to depth)."""

    side: int

    @property
    def forward(self) -> Window:
        """The same without the demand that nothing is left over."""
        return Window(self.side, self.side)

    def size(self, n: int) -> int:
        """Return the number of blocks.

        Raises
        ------
        GeometryError
            When ``n`` does not divide into blocks.
        """
        if n % self.side:
            raise GeometryError(f"{n} entries do not divide into blocks of {self.side}")
        return n // self.side

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return the entries of the blocks ``a..b``."""
        return self.forward.sources(a, b)

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return the blocks that hold ``a..b``."""
        return self.forward.targets(a, b)

    def compose(self, place: Place) -> Place:
        """Return the centres of the blocks."""
        return self.forward.compose(place)


@dataclass(frozen=True)
class Whole:
    """Every output reads all inputs: ``count`` outputs without a position, or, without a count, as many as there are inputs.

    A pooling of the whole map has a count of 1; a normalisation by the statistics of the whole map has none.
    """

    count: int | None = None

    def size(self, n: int) -> int:
        """Return ``count``, or ``n`` itself."""
        return n if self.count is None else min(self.count, self.count * n)

    def sources(self, a: int, b: int) -> tuple[int, int]:
        """Return an interval that covers every map."""
        return 0, EVERYTHING

    def targets(self, a: int, b: int) -> tuple[int, int]:
        """Return an interval that covers every map."""
        return 0, EVERYTHING

    def compose(self, place: Place) -> Place | None:
        """Return the inputs' coordinates where outputs keep to them."""
        return place if self.count is None else None


EVERYTHING = 2**62
"""A last index beyond that of any map."""


def aligned_deconvolution(coarse: Place, fine: Place) -> tuple[int, int]:
    """Return the kernel and the crop that bring scores at ``coarse`` onto the grid ``fine``.

    The kernel is ``2f`` or ``2f - 1`` for the factor ``f`` (a bilinear filter of either length is exact on linear
    ramps); the one is taken whose outputs fall on the fine grid. The crop is the index of the upsampled entry that
    lies on fine index 0; a negative crop says that the fine map has to be cropped by so much instead.

    Raises
    ------
    ValueError
        When neither length aligns the two grids.

    Examples
    --------
    The last upsampling of FCN-32s on VGG16 with 100 px of padding:

    >>> aligned_deconvolution(Place(Fraction(32), Fraction(25, 2)), Place(Fraction(1), Fraction(0)))
    (64, 19)
    """
    factor = coarse.stride / fine.stride
    if factor.denominator == 1:
        for kernel in (2 * factor.numerator, 2 * factor.numerator - 1):
            crop = (fine.offset - Transposed(kernel, factor.numerator).compose(coarse).offset) / fine.stride
            if crop.denominator == 1:
                return kernel, crop.numerator
    raise ValueError(f"no deconvolution brings the grid {coarse} onto {fine}")
