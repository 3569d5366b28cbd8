"""Table 1: AlexNet, VGG16 and GoogLeNet as FCN-32s, their score, time, depth, size, receptive field and stride.

Paper, section 4.1. Time and geometry are the whole nets', with random weights. On Scenes the score is that of the same nets with
an eighth of the channels and batch norm, trained from scratch; on VOC it is the whole nets', which need their ImageNet weights.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from fullconv.data.sample import RGB, SEMANTIC
from fullconv.errors import DataError, WeightsError
from fullconv.evaluation import METRICS
from fullconv.geometry.graph import Geometry
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones.narrow import NARROW
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.describe import describe
from fullconv.nn.fcn import FCN
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row, paired
from fullconv.paper.plots import draw_nets
from fullconv.paper.published import published
from fullconv.paper.verdicts import Difference, Scores, every, scores_of
from fullconv.spec import ModelSpec
from fullconv.training import RunResult

NETS = {"FCN-AlexNet": "alexnet", "FCN-VGG16": "vgg16", "FCN-GoogLeNet": "googlenet"}
BEST = "FCN-VGG16"
CLASSES = {SEMANTIC: 21}
SIDE = 500
"""Of the image that is timed, in pixels."""
REPEATS = 5
SCORE, TIME, RATIO = METRICS["mean_iu"], "forward ms", "forward relative to VGG16"
DEPTH, WEIGHTS, FIELD, STRIDE = "conv layers", "parameters M", "receptive field px", "stride px"
OWN_FIELD = f"{FIELD} without the last pooling"


@dataclass(frozen=True)
class Architecture:
    """What a net is, from its graph.

    Attributes
    ----------
    conv_layers
        On the longest way from the image to the score, both the score's own and what were dense layers included.
    parameters
        Number of trained numbers of the FCN, with 21 classes.
    classifier_field, field
        Receptive field of a score in pixels: of the classifier made convolutional as it is, and of the FCN, which drops global
        pooling.
    stride
        Of the coarsest scores, in pixels.
    """

    conv_layers: int
    parameters: int
    classifier_field: int
    field: int
    stride: int


def architecture(backbone: str) -> Architecture:
    """Return what ``fcn32s-`` and a backbone is; nothing is computed but its geometry.

    Examples
    --------
    >>> architecture("caffe-vgg16")
    Architecture(conv_layers=16, parameters=134346581, classifier_field=404, field=404, stride=32)
    """
    model = build_on_meta(ModelSpec(name=f"fcn32s-{backbone}"), CLASSES)
    geometry = model.geometry
    score = geometry.index[f"core.heads.{SEMANTIC}.score.{RGB}.0"]  # the coarsest one
    place, field = geometry.place(score), geometry.receptive_field(score)
    assert place is not None  # a score has a place, and no trunk of the paper sees the whole image
    assert field is not None
    return Architecture(
        conv_layers=depth(geometry, score),
        parameters=sum(p.numel() for p in model.parameters()),
        classifier_field=describe(backbone)["receptive_field"],
        field=field,
        stride=int(place.stride),
    )


def depth(geometry: Geometry, layer: int) -> int:
    """Return the number of convolutions on the longest way from the image to a layer, its own included."""
    depths: list[int] = []
    for each in geometry.layers[: layer + 1]:
        depths.append(max((depths[i] for i in each.inputs), default=0) + (each.kind == "Conv2d"))
    return depths[layer]


def forward_seconds(models: Mapping[str, FCN], side: int, repeats: int) -> dict[str, list[float]]:
    """Return how long each model takes for a square image of ``side`` px, on the CPU, in seconds.

    One pass of each to warm up is not counted; then they take turns, so that other load on the machine meets all of them.
    """
    image = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for turn in range(repeats + 1):
            for name, model in models.items():
                start = time.perf_counter()
                model(image)
                if turn:
                    found[name].append(time.perf_counter() - start)
    return found


def plan(context: Context, seed: int) -> Plan:
    """Return the three nets, each from random weights on Scenes and from ImageNet's on VOC."""
    names = {item: recipe_for(context, f"scenes-fcn32s-narrow-{net}", f"voc-fcn32s-{net}") for item, net in NETS.items()}
    return {item: Training(name, context.recipe(name, seed)) for item, name in names.items()}


def run(context: Context) -> Finding:
    """Return table 1: scores on the context's data, time and geometry of the whole nets.

    Nets whose data or weights are missing get a row that says what they need; everything else is measured all the same.
    """
    plans = [plan(context, seed) for seed in range(context.seeds)]
    trained: dict[str, list[RunResult]] = {}
    scores = {}
    for item in NETS:
        try:
            trained[item] = [context.train(each[item]) for each in plans]
            scores[item] = _score(context, item, plans[0][item], trained[item])
        except (DataError, WeightsError) as error:
            context.say(f"{item} is not trained: {error}")
            scores[item] = paired("T1", item, SCORE, (), data=context.data, protocol="–", needs=str(error))
    context.say(f"{REPEATS + 1} passes of the whole nets over {SIDE}×{SIDE} pixels")
    models = {item: build_model(ModelSpec(name=f"fcn32s-caffe-{net}"), CLASSES).eval() for item, net in NETS.items()}
    seconds = forward_seconds(models, SIDE, REPEATS)
    rows = tuple(row for item, net in NETS.items() for row in (scores[item], *_times(item, seconds), *_architecture(item, net)))
    pictures = (_draw(context, plans[0], trained),) if trained else ()
    measured = {item: scores_of(plans[0][item].recipe, runs) for item, runs in trained.items()}
    return Finding(rows, tuple(_claims(Finding(rows), measured)), pictures, NOTES)


NOTES = (
    "Convolution layers are those on the longest way from the image to the score, what were dense layers and the score's own "
    "included: 5 + 3 of AlexNet, 13 + 3 of VGG16, and of GoogLeNet 3, then 2 in each of 9 inceptions, and 1.",
    "The paper's receptive field of GoogLeNet is the classifier's, with its global pooling, and so are ours in that row; its FCN "
    "drops this pooling and sees less.",
    f"On Scenes the scores are those of nets with {NARROW:g} of the channels, batch norm behind every convolution, no local "
    "response normalisation, 'same' padding and random weights at the start: they compare designs, not features of ImageNet. On "
    "VOC they are those of torchvision's nets from ImageNet, of AlexNet and VGG16 the convolutions alone, without fc6 and fc7.",
)


def _score(context: Context, item: str, training: Training, runs: Sequence[RunResult]) -> Row:
    recipe, record = training.recipe, runs[0].stages[-1]
    start = "from scratch" if recipe.model.weights is None else f"from {recipe.model.weights}"
    protocol = f"{recipe.model.name} {start}, {record['steps']} steps of {record['images'] // record['steps']}"
    return paired(
        "T1", item, SCORE, [100 * each.score() for each in runs],
        data=describe_data(context.validation(recipe)), protocol=protocol, seconds=sum(each.seconds for each in runs),
    )  # fmt: skip


def _times(item: str, seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the time of one net, and how it compares with VGG16: the median over turns, in which all met the same load."""
    name = f"fcn32s-caffe-{NETS[item]}, random weights, CPU, threads: {torch.get_num_threads()}, median of {len(seconds[item])}"
    data, own = f"{SIDE}×{SIDE}", seconds[item]
    total = sum(own)
    time_row = paired("T1", item, TIME, [1000 * statistics.median(own)], data=data, protocol=name, seconds=total, digits=0)
    if item == BEST:
        return [time_row]
    ratio = statistics.median(a / b for a, b in zip(own, seconds[BEST], strict=True))
    printed = published("T1").paper
    paper = round(printed[item][TIME] / printed[BEST][TIME], 2)
    return [time_row, Row(item, RATIO, (ratio,), data, name, total, paper=paper, digits=2)]


def _architecture(item: str, net: str) -> list[Row]:
    found = architecture(f"caffe-{net}")
    name, own = f"fcn32s-caffe-{net}, 21 classes", found.field
    given = [
        (DEPTH, found.conv_layers, 0, name),
        (WEIGHTS, found.parameters / 1e6, 1, name),
        (FIELD, found.classifier_field, 0, f"caffe-{net} made convolutional"),
        *([(OWN_FIELD, own, 0, name)] if own != found.classifier_field else []),
        (STRIDE, found.stride, 0, name),
    ]
    return [
        paired("T1", item, quantity, [value], data="traced", protocol=protocol, digits=digits)
        for quantity, value, digits, protocol in given
    ]


def _claims(finding: Finding, scores: Mapping[str, Scores]) -> list[Claim]:
    """Compare as the paper does; ``scores`` are of the nets that were trained."""
    claims = []
    gaps = {item: Difference.of([scores[BEST]], [scores[item]]) for item in scores if item != BEST} if BEST in scores else {}
    if gaps:
        text = "the best of the three" if len(gaps) == 2 else f"better than {next(iter(gaps))}, the third is not trained,"
        listed = ", ".join(f"above {item} by {gap}" for item, gap in gaps.items())
        claims.append(Claim(f"VGG16 is {text} in mean IU", every(gap.better for gap in gaps.values()), listed))
    ratios = {item: finding.row(item, RATIO) for item in NETS if item != BEST}
    listed = ", ".join(f"{item} {row.mean:.2f} (paper {row.paper})" for item, row in ratios.items())
    claims.append(
        Claim(
            "AlexNet and GoogLeNet take less than a third of VGG16's time", all(r.mean < 1 / 3 for r in ratios.values()), listed
        )
    )
    printed = [finding.row(item, quantity) for item in NETS for quantity in (DEPTH, WEIGHTS, FIELD, STRIDE)]
    wrong = [f"{row.item} {row.quantity} {row.mean:g}" for row in printed if round(row.mean) != row.paper]
    listed = ", ".join(wrong) or f"{len(printed)} numbers, rounded"
    claims.append(Claim("depth, parameters, receptive field and stride are those that the paper prints", not wrong, listed))
    return claims


def _draw(context: Context, planned: Plan, trained: Mapping[str, Sequence[RunResult]]) -> Picture:
    nets = {item: load_checkpoint(runs[0].model).model for item, runs in trained.items()}
    return draw_nets(context.folder / "predictions.png", nets, context.validation(planned[next(iter(trained))].recipe), SEMANTIC)
