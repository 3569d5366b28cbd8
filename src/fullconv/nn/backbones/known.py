"""The dictionary of backbones, in which torchvision's are looked up only when one of them may be meant."""

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping

from fullconv.nn.backbones.classifier import Classifier


class Backbones(MutableMapping[str, Classifier]):
    """Classifiers by name.

    Parameters
    ----------
    own
        Those that are here.
    further
        Returns more, which come behind them. Called once, at the first question that ``own`` alone does not answer: for a name
        that it lacks, for all names, or for their number.

    Examples
    --------
    >>> from torch import nn
    >>> known = Backbones({"a": Classifier(nn.Identity)}, lambda: {"b": Classifier(nn.Identity, 96)})
    >>> known["b"].native_side, list(known)
    (96, ['a', 'b'])
    """

    def __init__(self, own: Mapping[str, Classifier], further: Callable[[], Mapping[str, Classifier]]) -> None:
        self._found = dict(own)
        self._shipped = frozenset(own)
        self._further: Callable[[], Mapping[str, Classifier]] | None = further
        self._one_at_a_time = threading.Lock()

    @property
    def shipped(self) -> frozenset[str]:
        """The names that were here from the start: neither put in nor taken out later."""
        self._all()
        return self._shipped

    def _all(self) -> dict[str, Classifier]:
        with self._one_at_a_time:
            if self._further is not None:
                more = self._further()
                self._found = self._found | {name: entry for name, entry in more.items() if name not in self._found}
                self._shipped |= more.keys()
                self._further = None
        return self._found

    def __getitem__(self, name: str) -> Classifier:
        """Return a backbone; KeyError where there is none."""
        return self._found[name] if name in self._found else self._all()[name]

    def __setitem__(self, name: str, entry: Classifier) -> None:
        """Put one in, or in place of another."""
        self._found[name] = entry

    def __delitem__(self, name: str) -> None:
        """Take one out; KeyError where there is none."""
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        """Yield all names."""
        return iter(self._all())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all())
