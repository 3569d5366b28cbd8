"""The layers of a network, and where their maps lie on the image: what merges make of it, and what sees the whole image."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fullconv.geometry.axis import AxisMap, Place, Whole


@dataclass(frozen=True)
class Layer:
    """One operation of a network.

    Parameters
    ----------
    name
        Its name in the network.
    kind
        What it is, such as ``Conv2d``.
    inputs
        Positions of the layers whose maps it reads; empty for the image.
    maps
        What it does along the vertical and the horizontal axis.
    like
        For a crop: the position of the layer that the map is cut to, and the index there that index 0 lies on.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    maps: tuple[AxisMap, AxisMap]
    like: tuple[int, int] | None = None

    @property
    def sees_all(self) -> bool:
        """Whether it reads the whole of its inputs along an axis, whatever the position (global pooling, group norm)."""
        return any(isinstance(step, Whole) for step in self.maps)


def sees_everything(layers: Sequence[Layer], axis: int) -> list[bool]:
    """Return whether each layer depends on all of the image along an axis."""
    seen: list[bool] = []
    for layer in layers:
        seen.append(isinstance(layer.maps[axis], Whole) or any(seen[i] for i in layer.inputs))
    return seen


def has_positions(layers: Sequence[Layer], axis: int) -> list[bool]:
    """Return whether each layer's entries have positions along an axis, and are no values of the whole image."""
    local: list[bool] = []
    for layer in layers:
        own = layer.maps[axis]
        keeps = not (isinstance(own, Whole) and own.count is not None)
        local.append(keeps and (not layer.inputs or any(local[i] for i in layer.inputs)))
    return local


def places(layers: Sequence[Layer], axis: int) -> list[Place | str | None]:
    """Return each layer's place; ``None`` without a position; behind a merge of maps that do not lie on each other, what it is."""
    found: list[Place | str | None] = []
    for layer, local in zip(layers, has_positions(layers, axis), strict=True):
        incoming = [(layers[k].name, place) for k in layer.inputs if (place := found[k]) is not None]
        if not layer.inputs:
            found.append(Place(Fraction(1), Fraction(0)))
        elif not local:
            found.append(None)
        else:
            place = _common(layer.name, incoming)
            found.append(place if isinstance(place, str) else layer.maps[axis].compose(place))
    return found


def _common(name: str, incoming: Sequence[tuple[str, Place | str]]) -> Place | str:
    """Return the place that all inputs of a layer share, or in words why there is none."""
    (first, place), *others = incoming
    for other, there in (incoming[0], *others):
        if isinstance(there, str):
            return there
        if there != place:
            assert isinstance(place, Place)  # a first input without one was answered on the line above
            return (
                f"{name} merges {first} at {_show(place)} with {other} at {_show(there)}: their pixels do not lie on each other; "
                "align the branches' strides and padding"
            )
    return place


def _show(place: Place) -> str:
    return f"{place.stride}·i{float(place.offset):+g}"
