"""Stages whose convolutions are computed by minimal filtering, in little memory.

Its weights take two to four times those of the net (:mod:`fullconv.inference.engines.winograd`), and for those of all layers an
image in parts has no room. So they are made when a stage goes on and thrown away when the next one does: one room holds those of
a stage at a time. Of the largest layers, VGG16's fc6, it holds those of some output channels after the others.
"""

import functools

import torch
from torch import Tensor, fx, nn

from fullconv.inference.engines.folded import Activation, folded
from fullconv.inference.engines.packed import PackedConv2d, can_pack
from fullconv.inference.engines.winograd import Filtering, Moved, WinogradConv2d, filtering_of
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import InSlices, channels_at_once


def can_be_fast(model: FCN) -> bool:
    """Return whether the convolutions of a model's stages can be packed and filtered, as those of the whole net are."""
    parameters = list(model.parameters())
    return can_pack(parameters[0].device) and {each.dtype for each in parameters} == {torch.float32}


class Room:
    """Memory that holds the moved weights of some convolutions; all are thrown away when those of another find no place.

    Parameters
    ----------
    size
        Numbers, at least those of any one convolution, see :func:`room_of`.
    """

    def __init__(self, size: int) -> None:
        self._memory = torch.empty(size)
        self._taken = 0
        self._there: dict[nn.Module, Moved] = {}

    def moved(self, convolution: "FilteredConv2d", filtering: Filtering, channels: slice, keep: bool) -> Moved:
        """Return the moved weights of some of a convolution's output channels.

        Parameters
        ----------
        keep
            Whether to have them there for the next call.
        """
        if convolution in self._there:
            return self._there[convolution]
        weight, bias = convolution.weight[channels], convolution.bias
        numbers = int(weight.numel() * filtering.growth)
        if not keep or self._taken + numbers > len(self._memory):
            self._taken = 0
            self._there.clear()
        place = self._memory[self._taken : self._taken + numbers]
        shift = None if bias is None else bias[channels]
        found = Moved(filtering, weight, shift, convolution.activation == "relu", place)
        if keep:
            self._taken += numbers
            self._there[convolution] = found
        return found


class FilteredConv2d(WinogradConv2d):
    """A convolution that is computed by minimal filtering where that gains, whatever the map's size; a room has its weights."""

    def __init__(
        self,
        convolution: nn.Conv2d,
        norm: nn.BatchNorm2d | None,
        activation: Activation | None,
        dtype: torch.dtype,
        room: Room,
    ) -> None:
        super().__init__(convolution, norm, activation, dtype)
        self._room = room

    def padded(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """Return maps with so many zeros around the input; see :class:`fullconv.nn.bordered.Convolution`."""
        filtering = self.filtering
        if filtering is None:
            return super().padded(maps, padding)
        made, tiling = len(self.weight), filtering.tiling(maps, padding)
        step = channels_at_once(self.weight)

        def fill(images: Tensor, found: Tensor) -> None:
            for first in range(0, made, step):
                some = slice(first, first + step)
                self._room.moved(self, filtering, some, keep=step >= made).fill(images, found[..., some], tiling)

        return filtering.convolved(maps.float(), padding, tiling, made, fill)


def filtered(net: fx.GraphModule, room: Room) -> fx.GraphModule:
    """Return a stage's net that gives the same maps, with filtered convolutions and packed ones; the one given stays as it is."""
    return folded(_unsliced(net), torch.float32, functools.partial(FilteredConv2d, room=room))


def _unsliced(net: fx.GraphModule) -> fx.GraphModule:
    """Return a net whose convolutions are computed in slices by a room alone, where they gain by filtering."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(net.graph, {}))
    found = fx.GraphModule(net, graph)
    for name, part in net.named_modules():
        if isinstance(part, InSlices) and filtering_of(part.layer):
            found.set_submodule(name, part.layer)
    return found


def is_packed(net: nn.Module) -> bool:
    """Return whether convolutions of a net have packed weights."""
    return any(isinstance(part, PackedConv2d) and not _is_filtered(part) for part in net.modules())


def _is_filtered(part: nn.Module) -> bool:
    return isinstance(part, FilteredConv2d) and part.filtering is not None
