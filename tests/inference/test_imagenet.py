"""Classes are found by number, by name, by part of a name; otherwise the message helps."""

import pytest

from fullconv.errors import SpecError
from fullconv.inference.imagenet import find_class, imagenet_classes


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("macaw", 88), ("Macaw", 88), ("88", 88), ("0", 0), ("999", 999), ("hot dog", 934), ("tiger shark", 3), ("goldfis", 1)],
)
def test_classes_are_found(wanted: str, number: int) -> None:
    assert find_class(wanted, imagenet_classes()) == number


def test_there_are_1000_classes() -> None:
    assert len(imagenet_classes()) == 1000


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("macau", "no class is called 'macau'; nearest: macaque, macaw"),
        ("qqqqqqq", "no class is called 'qqqqqqq'; give a name of ImageNet's 1000 classes or a number"),
        ("", "no class is called ''"),
        ("1000", "no class 1000; the classes are numbered from 0 to 999"),
        ("crane", "2 classes are called 'crane'; give the number: 134 crane; 517 crane"),
        ("shark", "classes are called 'shark'; give the number: 2 great white shark"),
    ],
)
def test_what_is_not_clear_is_explained(wanted: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        find_class(wanted, imagenet_classes())
