"""Guess what the masks of a folder hold, for ``fullconv init`` to write down with its reasons; a person sees and corrects it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullconv.data.folder.contents import Contents
from fullconv.data.folder.label_names import IGNORED, VOID, Fit, NameList, find_names, fit_names, read_names
from fullconv.data.folder.mask_look import MOST_CODES
from fullconv.data.folder.void import SOLID_VOID, TOPS, covers_objects, evenly_spread
from fullconv.data.pairs import Pair
from fullconv.data.stored_mask import stored_at
from fullconv.errors import DataError
from fullconv.labelmap import ALPHA, COLOR, code_of_color, codes_of, color_of, show_codes
from fullconv.spec import FolderSpec


@dataclass(frozen=True)
class Choices:
    """What a person says of masks where they can be read in two ways.

    Attributes
    ----------
    names
        A list of class names; ``none`` to do without.
    start
        The value of the list's first name.
    void
        The value without ground truth; ``none`` where 255 is a class too.
    """

    names: str | None = None
    start: int | None = None
    void: str | None = None


NOTHING_SAID = Choices()


@dataclass(frozen=True)
class LabelGuess:
    """A declaration for :func:`fullconv.labelmap.parse_label_map`, the codes of each entry, and in words what was decided."""

    entries: dict[str, object]
    codes: dict[str, tuple[int, ...]]
    remarks: list[str] = field(default_factory=list)


def refuse_swapped(root: Path, folder: FolderSpec, pairs: Sequence[Pair]) -> None:
    """Stop where the folder of masks holds photographs and that of images what masks look like.

    Raises
    ------
    DataError
        When of the first, the last and a pair between them every mask has more values than labels can and no image does.
    """
    for pair in {0: pairs[0], 1: pairs[len(pairs) // 2], 2: pairs[-1]}.values():
        try:
            found = [len(np.unique(codes_of(stored_at(path).undeclared()))) for path in (pair.image, pair.mask)]
        except DataError:
            return  # a damaged file is told of elsewhere
        if not found[0] <= MOST_CODES < found[1]:
            return
    raise DataError(
        f"{root}: {folder.masks} holds photographs and {folder.images} what looks like masks; are the two swapped? Rename them"
    )


def read_guess(root: Path, contents: Contents, choices: Choices = NOTHING_SAID, lenient: bool = False) -> LabelGuess:
    """Return a class for every code, named by a list where one is.

    Smooth black and white masks (JPEG, resized) become two classes of ranges with the threshold between them; an object in the
    alpha channel two classes of alpha. 255 among smaller values has no ground truth unless it must be a class. Lists of names are
    those of :mod:`fullconv.data.folder.label_names`.

    Parameters
    ----------
    root
        The folder, in which a list of names may lie.
    contents
        From :func:`look_into`.
    choices
        What a person says.
    lenient
        Go on where only a person knows; what is wrong is told elsewhere.

    Raises
    ------
    DataError
        When masks or names can be read in two ways, or colours are smooth; what to say or do is told.
    """
    listed = _list_of(root, choices)
    guess = _Guess(root, contents, choices, listed, lenient)
    void = choices.void
    if void not in (None, "none") and int(void) not in contents.pixels and contents.total <= contents.masks:
        raise DataError(f"{root}: --void {void}, but no mask has {void}; they hold {show_codes(list(contents.pixels), 6)}")
    for way in (_alpha_only, _two_ends, _black_and_white):
        entries = way(guess)
        if entries is not None:
            return entries
    return _classes(guess)


@dataclass
class _Guess:
    root: Path
    contents: Contents
    choices: Choices
    listed: NameList | None
    lenient: bool
    remarks: list[str] = field(default_factory=list)

    def pair_of_names(self) -> tuple[str, str]:
        """Return what the background and the one class beside it are called."""
        names = self.listed.names if self.listed else ()
        if len(names) in (1, 2):
            self.remarks.append(f"names: {self.listed.path.name if self.listed else ''}")
            return ("background", names[0]) if len(names) == 1 else (names[0], names[1])
        return "background", "foreground"

    def two(self, entries: Sequence[object], codes: Sequence[tuple[int, ...]]) -> LabelGuess:
        """Return a guess of two classes."""
        names = self.pair_of_names()
        return LabelGuess(dict(zip(names, entries, strict=True)), dict(zip(names, codes, strict=True)), self.remarks)


def _list_of(root: Path, choices: Choices) -> NameList | None:
    if choices.names == "none":
        return None
    return find_names(root) if choices.names is None else read_names(Path(choices.names))


def _alpha_only(guess: _Guess) -> LabelGuess | None:
    if set(guess.contents.pixels) != {ALPHA, ALPHA + 255}:
        return None
    guess.remarks.append("colours do not tell the classes apart, the alpha channel does: from 128 on a pixel is of the object")
    return guess.two(({"alpha": "0-127"}, {"alpha": "128-255"}), ((ALPHA,), (ALPHA + 255,)))


def _two_ends(guess: _Guess) -> LabelGuess | None:
    contents = guess.contents
    if contents.lost and not guess.lenient:
        low, high = contents.lost
        raise DataError(
            f"{guess.root}: {contents.lossy} of {contents.masks} masks are JPEG, and hold the values {low} and {high}, so near "
            "each other that JPEG turns one into the other, which nothing can undo; export the masks again as PNG from what they "
            "were drawn with"
        )
    ends = contents.two_ends
    if ends is None:
        return None
    low, high = ends
    middle = (low + high + 1) // 2
    bottom, top = min(0, min(contents.pixels)), max(255, max(contents.pixels))
    how = "saved as JPEG" if contents.lossy else "smoothed"
    guess.remarks.append(
        f"the masks are {low} and {high}, and {how}: {len(contents.pixels) - 2} values between and beside them along borders. "
        f"A pixel is taken for the nearer of the two, from {middle} on for {high}"
    )
    below, above = (tuple(code for code in contents.pixels if (code >= middle) is side) for side in (False, True))
    return guess.two((f"{bottom}-{middle - 1}", f"{middle}-{top}"), (below, above))


def _black_and_white(guess: _Guess) -> LabelGuess | None:
    """Return background and foreground of masks with 0 and one other value, or of 0 and 1 in some and 0 and 255 in others."""
    codes = list(guess.contents.pixels)
    if codes == [0, 1, 255] and guess.contents.apart and guess.choices.void is None:
        guess.remarks.append("no mask has both 1 and 255, so they are the same in masks of 0 and 1 and in masks of 0 and 255")
        return guess.two((0, [1, 255]), ((0,), (1, 255)))
    listed = guess.listed
    stated = listed and (listed.values or listed.names[0] == IGNORED or len(listed.names) > 2 or guess.choices.start is not None)
    if len(codes) == 2 and codes[0] == 0 and 0 < codes[1] < ALPHA and not stated and str(codes[1]) != guess.choices.void:
        return guess.two((0, codes[1]), ((0,), (codes[1],)))
    return None


def _classes(guess: _Guess) -> LabelGuess:
    contents = guess.contents
    if contents.by_color:
        guess.remarks.append(f"{contents.by_color}; so the colours say which class is which")
    codes = _without_specks(guess)
    negative = [code for code in codes if code < 0]
    positive = [code for code in codes if code >= 0]
    top = next((value for value in TOPS if value == max((c for c in positive if c < ALPHA), default=-1)), None)
    fit = _fit(guess, [code for code in positive if code < ALPHA and code != top], top)
    void = _void(guess, positive, top, fit)
    taken: dict[str, object] = {}
    held: dict[str, tuple[int, ...]] = {}
    for number, code in enumerate(code for code in positive if code != void):
        name, entry = _entry(guess, fit, code, number, positive)
        if name in taken:
            guess.remarks.append(f"{name} stands twice in the list; to make one class of both, give the values to one")
            name = f"{name} {show_codes([code])}"
        taken[name], held[name] = entry, (code,)
    for code in [*([void] if void is not None else []), *negative]:
        name = "void" if "void" not in taken else f"void {code}"
        taken[name], held[name] = ("ignore" if code == 255 else {"ignore": code}), (code,)
    return LabelGuess(taken, held, guess.remarks)


def _without_specks(guess: _Guess) -> list[int]:
    contents = guess.contents
    if not contents.smooth:
        return list(contents.pixels)
    solid = contents.classes
    if not guess.lenient:
        what = "colours" if contents.colors else "values"
        raise DataError(
            f"{guess.root}: {len(contents.specks)} {what} of the masks occur only as specks along borders, between "
            f"{len(solid)} that fill areas ({show_codes(solid, 4)}): saved as JPEG or resized smoothly? "
            f"`fullconv data check {guess.root} --fix DIR` writes a copy in which each such pixel "
            "takes the nearest of those beside it; then `fullconv init DIR`"
        )
    if len(solid) > MOST_CODES:
        solid = sorted(solid, key=lambda code: -contents.pixels[code])[:MOST_CODES]
    return solid


def _fit(guess: _Guess, values: Sequence[int], top: int | None) -> Fit:
    """Return the names of codes."""
    listed, contents = guess.listed, guess.contents
    if listed is None:
        return Fit({}, "")
    colors = {code_of_color(color): name for color, name in listed.colors.items()}
    if contents.colors and (colors or not _greys(contents)):
        if not colors:
            guess.remarks.append(f"{listed.path.name} says nothing of colours: give the classes their names yourself")
        return Fit(colors, "")
    if colors and contents.palette and all(listed.colors.get(contents.palette.get(value, (-1, 0, 0))) for value in values):
        guess.remarks.append(f"names: by the palette's colours in {listed.path.name}")
        return Fit({value: listed.colors[contents.palette[value]] for value in values}, "")
    if contents.colors:  # greys, which stand for values
        grey = {color_of(code)[0]: code for code in contents.pixels if code >= COLOR}
        fit = _fitted(guess, listed, sorted(grey), None)
        return Fit({grey[value]: name for value, name in fit.names.items() if value in grey}, fit.why)
    return _fitted(guess, listed, values, top)


def _fitted(guess: _Guess, listed: NameList, values: Sequence[int], top: int | None) -> Fit:
    void = guess.choices.void
    if void is not None and top is not None:
        values, top = ([*values, top] if void == "none" else values), None
    try:
        fit = fit_names(listed, values, top, guess.choices.start)
    except DataError:
        if not guess.lenient:
            raise
        return Fit({}, "")
    guess.remarks.append(f"names: {fit.why}")
    return fit


def _greys(contents: Contents) -> bool:
    return all(len(set(color_of(code))) == 1 for code in contents.pixels if code >= COLOR)


def _void(guess: _Guess, codes: Sequence[int], top: int | None, fit: Fit) -> int | None:
    """Return the value without ground truth, or ``None``."""
    said = guess.choices.void
    if said is not None:
        return None if said == "none" else int(said)
    values = [code for code in codes if code < ALPHA]
    if top is None or top in fit.names or len(codes) < 2:
        return None
    if len(codes) == 2 or evenly_spread(values):
        guess.remarks.append(f"{top} is taken for a class; if it has no ground truth: void: {{ignore: {top}}}")
        return None
    if covers_objects(guess.contents, values, top) and not guess.lenient:
        share = 100 * guess.contents.pixels[top] / sum(guess.contents.pixels.values())
        raise DataError(
            f"{guess.root}: {top} covers {share:.0f} % of the masks, more than {show_codes(values[1:-1])} together: is it a "
            f"class, or has it no ground truth? Say which: --void none or --void {top}"
        )
    return top


def _entry(guess: _Guess, fit: Fit, code: int, number: int, codes: Sequence[int]) -> tuple[str, object]:
    """Return the name of a code and what the recipe says of it."""
    if code >= COLOR:
        return fit.names.get(code) or f"class {number}", {"color": list(color_of(code))}
    if code >= ALPHA:
        return "background", {"alpha": "0-127"}
    name = fit.names.get(code)
    if name is None and fit.names and code == 0:
        guess.remarks.append("if 0 has no ground truth, as in ADE20K: void: {ignore: 0}")
        return "background", 0
    share = guess.contents.pixels[code] / sum(guess.contents.pixels.values())
    if name is not None and name.lower() in VOID and len(codes) > 2 and share < SOLID_VOID:
        inside = min(codes) < code < max(codes)
        guess.remarks.append(f"{name} is ignored because of its name; to learn it as a class: {name}: {code}")
        return name, {"ignore": code, **({"among_classes": True} if inside else {})}
    return name or f"class {code}", code
