"""The protocol of the paper's experiments, in one table: every value of every net's recipe that is not a recipe's default.

Keys are the experiment, its data and, where it is not the data's own, the backbone.
"""

from pathlib import Path
from typing import Any

from fullconv.paper.experiment import CLASSIFIER

ROOT = Path("root")
Row = dict[str, Any]

COMMON: Row = {
    "model.streams": ("rgb",),
    "model.weights": None,
    "model.deconvolution": "fixed",
    "data.streams": ("rgb",),
    "data.heads": ("semantic",),
    "train.head_weights.semantic": 1.0,
    "train.reduction": "mean",
    "train.loss_sampling": 1.0,
    "train.class_weights": None,
    "train.trainable": "all",
    "train.freeze_batch_norm": False,
    "train.average": None,
    "train.keep": "last",
    "train.seed": 0,
}
SCENES: Row = {
    **COMMON,
    **{"data.name": "scenes", "data.train": "train", "data.val": "val", "data.count": 1000, "data.val_count": 100},
    **{"data.size": (96, 128), "data.augment.flip": True, "train.batch_size": 8},
    **{"train.optimizer.name": "adamw", "train.optimizer.weight_decay": 1e-2},
    **{"train.optimizer.schedule": "poly", "train.optimizer.warmup": 20},
}
SGD: Row = {
    **SCENES,
    **{"model.name": "fcn32s-minivgg", "data.augment.flip": False, "train.freeze_batch_norm": True},
    **{"train.optimizer.name": "sgd", "train.optimizer.momentum": 0.9, "train.optimizer.weight_decay": 5e-4},
}
SQUEEZENET: Row = {
    **COMMON,
    **{"model.weights": "imagenet", "model.dropout": 0.3, "data.root": ROOT, "data.workers": 1, "data.augment.flip": True},
    **{"data.augment.color": 0.3, "train.batch_size": 8, "train.average": 0.99, "train.precision": "auto"},
    **{"train.optimizer.name": "adamw", "train.optimizer.score_learning_rate_factor": 10.0, "train.optimizer.weight_decay": 1e-2},
    **{"train.optimizer.schedule": "fixed", "train.optimizer.warmup": 30},
}
VOC: Row = {
    **SQUEEZENET,
    **{"data.name": "voc2012", "data.train": "train", "data.val": "val"},
    **{"data.augment.scale": (0.65, 1.4), "data.augment.crop": (320, 320)},
}
TUNED: Row = {
    **COMMON,
    **{"model.weights": "imagenet", "data.root": ROOT, "data.workers": 1, "data.augment.flip": True, "data.augment.color": 0.3},
    **{"train.batch_size": 16, "train.average": 0.99, "train.precision": "auto", "train.optimizer.name": "adamw"},
    **{"train.optimizer.score_learning_rate_factor": 10.0, "train.optimizer.weight_decay": 1e-2},
    **{"train.optimizer.bias_learning_rate_factor.trunk": 1.0, "train.optimizer.bias_learning_rate_factor.score": 1.0},
    **{"train.optimizer.schedule": "poly", "train.optimizer.warmup": 50},
}
"""How VGG16 and EfficientNet-Lite0 are fine-tuned, whatever they learn."""
VOC_TUNED: Row = {
    **TUNED,
    **{"data.name": "voc2012", "data.train": "train", "data.val": "val"},
    **{"data.augment.scale": (0.6, 1.3), "data.augment.crop": (288, 288)},
}
NYUD_TUNED: Row = {
    **TUNED,
    **{"data.name": "nyudv2", "data.train": "trainval", "data.val": "test", "data.scale": 0.5, "data.hha": Path("out/hha")},
    **{"data.augment.scale": (0.75, 1.4), "data.augment.crop": (240, 320)},
}
TRUNK: Row = {"model.hidden_layers": False}
LITE: Row = {"model.dropout": 0.2}
OWN: dict[str, tuple[Row, float]] = {"vgg16": (TRUNK, 5e-5), "efficientnet_lite0": (LITE, 3e-4)}
"""What the fine-tuned backbones have of their own: of the model, and the learning rate."""
NYUD: Row = {
    **SQUEEZENET,
    **{"data.name": "nyudv2", "data.train": "trainval", "data.val": "test", "data.scale": 0.5, "data.hha": Path("out/hha")},
    **{"data.augment.scale": (0.75, 1.4), "data.augment.crop": (240, 320)},
}
FLOW: Row = {
    **SQUEEZENET,
    **{"data.name": "siftflow", "data.train": "trainval", "data.val": "test"},
    **{"data.augment.scale": (0.75, 1.4), "data.augment.crop": (256, 256)},
}
Stages = tuple[tuple[int, int, float], ...]
"""Stride, steps and learning rate of each stage."""


def net(base: Row, name: str, start: Any, *stages: tuple[int, int, float], **more: Any) -> Row:
    """A row: model, what it starts from, stages, and what else it has of its own (``batch_size`` is ``train.batch_size`` …)."""
    places = {"streams": "model.", "deconvolution": "model.", "dropout": "model.", "heads": "data.", "inputs": "data.streams"}
    own = {places.get(key, "train.") + (key if not places.get(key, "").endswith("streams") else ""): v for key, v in more.items()}
    return {**base, "model.name": name, **_start(start), "stages": stages, **own}


def _start(start: Any) -> Row:
    if isinstance(start, dict):  # nets of other runs, by stream
        return {"model.weights": "runs", **{f"model.weights.{stream}": run for stream, run in start.items()}}
    return {"model.weights": start}


T2_STAGED = net(SCENES, "fcn4s-minivgg", CLASSIFIER, (32, 1500, 5e-3), (16, 600, 5e-3), (8, 600, 5e-3), (4, 600, 5e-3))
VOC_STAGED = net(VOC, "fcn8s-squeezenet1_1", "imagenet", (32, 750, 5e-5), (16, 450, 5e-5), (8, 400, 5e-5))
T4_LATE = {"rgb": "scenes-fcn32s-minivgg-rgb", "hha": "scenes-fcn32s-minivgg-hha"}
NYUD_LATE = {
    backbone: {stream: f"nyudv2-fcn32s-{backbone}-{stream}" for stream in ("rgb", "hha")}
    for backbone in ("squeezenet1_1", "vgg16", "efficientnet_lite0")
}
BOTH = ("semantic", "geometric")
PLAIN = {**SCENES, "data.augment.flip": False}
EXACT = {**SGD, "data.size": (64, 128), "train.optimizer.warmup": 25}
PIXELS = 16 * 64 * 128
SHARES = (1.0, 0.5, 0.25)


def t4(base: Row, prefix: str, backbone: str, start: Any, stage: tuple[int, int, float], finer: Any, late: Any) -> Row:
    one = f"fcn32s-{backbone}"
    return {
        "FCN-32s RGB": (f"{prefix}-{one}-rgb", net(base, one, start, stage)),
        "FCN-32s RGBD": (
            f"{prefix}-{one}-rgbd",
            net(base, one, start, stage, streams=("rgb+depth",), inputs=("rgb", "depth")),
        ),
        "FCN-32s HHA": (f"{prefix}-{one}-hha", net(base, one, start, stage, streams=("hha",), inputs=("hha",))),
        "FCN-32s RGB, trained on": (f"{prefix}-{one}-rgb-on", net(base, one, {"rgb": late["rgb"]}, stage)),
        "FCN-32s RGB-HHA": (
            f"{prefix}-fcn16s-rgb-hha-{backbone}",
            net(base, f"fcn16s-{backbone}", late, stage, finer, streams=("rgb", "hha"), inputs=("rgb", "hha")),
        ),
    }


def t5(base: Row, run: str, name: str, start: Any, *stages: tuple[int, int, float]) -> Row:
    joint = net(base, name, start, *stages, heads=BOTH) | {"train.head_weights.geometric": 1.0}
    alone = net(base, name, start, *stages, heads=("geometric",)) | {"train.head_weights.geometric": 1.0}
    return {
        "FCN-16s joint": (f"{run}-semantic-geometric", joint),
        "FCN-16s joint, geometric loss / 4": (
            f"{run}-semantic-geometric-weighed",
            joint | {"train.head_weights.geometric": 0.25},
        ),
        "FCN-16s semantic alone": (f"{run}-semantic", net(base, name, start, *stages)),
        "FCN-16s geometric alone": (
            f"{run}-geometric",
            {k: v for k, v in alone.items() if k != "train.head_weights.semantic"},
        ),
    }


def t2(backbone: str) -> dict[str, tuple[str, Row]]:
    """Table 2 on VOC from a fine-tuned backbone: equal steps and learning rates of what is compared."""
    own, rate = OWN[backbone]
    return {
        "FCN-32s-fixed": (
            f"voc-fcn32s-fixed-{backbone}",
            net(VOC_TUNED | own, f"fcn32s-{backbone}", "imagenet", (32, 600, rate), trainable="score"),
        ),
        "staged": (f"voc-fcn8s-{backbone}", staged(backbone)),
        "FCN-8s at once": (
            f"voc-fcn8s-at-once-{backbone}",
            net(VOC_TUNED | own, f"fcn8s-{backbone}", "imagenet", (8, 1200, rate)),
        ),
    }


def staged(backbone: str) -> Row:
    own, rate = OWN[backbone]
    return net(VOC_TUNED | own, f"fcn8s-{backbone}", "imagenet", (32, 600, rate), (16, 300, rate), (8, 300, rate))


def f5(base: Row, backbone: str, rate: float) -> dict[str, tuple[str, Row]]:
    """Figure 5 on VOC: as many patches a step whatever the share, from more images."""
    own = {"batch_size": 4, "average": None, "validate_every": 75}
    return {
        f"p = {share:g}": (
            f"F5-voc2012-{backbone}-p{share:g}",
            net(base, f"fcn32s-{backbone}", "imagenet", (32, 600, rate), loss_sampling=share, **own),
        )
        for share in SHARES
    }


def t4_tuned(backbone: str) -> dict[str, tuple[str, Row]]:
    own, rate = OWN[backbone]
    return t4(NYUD_TUNED | own, "nyudv2", backbone, "imagenet", (32, 600, rate), (16, 300, rate), NYUD_LATE[backbone])


TABLE: dict[tuple[str, str, str | None], dict[str, tuple[str, Row]]] = {
    ("T1", "scenes", None): {
        f"FCN-{title}": (
            f"scenes-fcn32s-narrow-{title.lower()}",
            net(SCENES, f"fcn32s-narrow-{title.lower()}", None, (32, 1200, rate), dropout=0.2),
        )
        for title, rate in (("AlexNet", 5e-3), ("VGG16", 2e-3), ("GoogLeNet", 5e-3))
    },
    ("T1", "voc2012", None): {
        "FCN-AlexNet": ("voc-fcn32s-alexnet", net(VOC_TUNED | TRUNK, "fcn32s-alexnet", "imagenet", (32, 600, 1e-4))),
        "FCN-VGG16": ("voc-fcn32s-vgg16", net(VOC_TUNED | TRUNK, "fcn32s-vgg16", "imagenet", (32, 600, 5e-5))),
        "FCN-GoogLeNet": ("voc-fcn32s-googlenet", net(VOC_TUNED, "fcn32s-googlenet", "imagenet", (32, 600, 3e-4))),
    },
    ("T2", "scenes", None): {
        "FCN-32s-fixed": (
            "scenes-fcn32s-fixed-minivgg",
            net(SCENES, "fcn32s-minivgg", CLASSIFIER, (32, 1500, 5e-3), trainable="score"),
        ),
        "staged": ("scenes-fcn4s-minivgg", T2_STAGED),
        "FCN-8s at once": ("scenes-fcn8s-at-once-minivgg", net(SCENES, "fcn8s-minivgg", CLASSIFIER, (8, 2700, 5e-3))),
    },
    ("T2", "voc2012", None): {
        "FCN-32s-fixed": (
            "voc-fcn32s-fixed-squeezenet1_1",
            net(VOC, "fcn32s-squeezenet1_1", "imagenet", (32, 750, 5e-5), trainable="score"),
        ),
        "staged": ("voc-fcn8s-squeezenet1_1", VOC_STAGED),
        "FCN-8s at once": (
            "voc-fcn8s-at-once-squeezenet1_1",
            net(VOC, "fcn8s-squeezenet1_1", "imagenet", (8, 1600, 5e-5)),
        ),
    },
    ("upsampling", "scenes", None): {
        "fixed": ("scenes-fcn4s-minivgg", T2_STAGED),
        "learned": (
            "scenes-fcn8s-minivgg-learned",
            net(
                SCENES, "fcn8s-minivgg", CLASSIFIER, (32, 1500, 5e-3), (16, 600, 5e-3), (8, 600, 5e-3),
                deconvolution="learned",
            ),
        ),
    },
    ("upsampling", "voc2012", None): {
        "fixed": ("voc-fcn8s-squeezenet1_1", VOC_STAGED),
        "learned": ("voc-fcn8s-squeezenet1_1-learned", VOC_STAGED | {"model.deconvolution": "learned"}),
    },
    ("T4", "scenes", None): t4(SCENES, "scenes", "minivgg", CLASSIFIER, (32, 800, 5e-3), (16, 400, 2.5e-3), T4_LATE),
    ("T4", "nyudv2", None): t4(
        NYUD, "nyudv2", "squeezenet1_1", "imagenet", (32, 400, 5e-5), (16, 200, 3e-5), NYUD_LATE["squeezenet1_1"]
    ),
    ("F5", "scenes", None): {
        f"p = {share:g}": (
            f"F5-scenes-p{share:g}",
            net(
                SCENES, "fcn32s-minivgg", CLASSIFIER, (32, 600, 2.5e-3), batch_size=4, loss_sampling=share, validate_every=75,
            ),
        )
        for share in SHARES
    },
    ("F5", "voc2012", None): f5(VOC, "squeezenet1_1", 5e-5),
    **{("F5", "voc2012", backbone): f5(VOC_TUNED | own, backbone, rate) for backbone, (own, rate) in OWN.items()},
    ("T5", "scenes", None): t5(SCENES, "T5-scenes-minivgg", "fcn16s-minivgg", CLASSIFIER, (32, 1500, 5e-3), (16, 600, 2.5e-3)),
    ("T5", "scenes", "squeezenet1_1"): t5(
        SCENES | {"train.optimizer.score_learning_rate_factor": 10.0, "train.optimizer.warmup": 30},
        "T5-scenes-squeezenet1_1", "fcn16s-squeezenet1_1", "imagenet", (32, 1500, 5e-5), (16, 600, 3e-5),
    ),
    ("T5", "siftflow", None): t5(
        FLOW, "T5-siftflow-squeezenet1_1", "fcn16s-squeezenet1_1", "imagenet", (32, 1150, 5e-5), (16, 550, 3e-5)
    ),
    ("claims", "scenes", None): {
        "plain": ("claims-plain", net(PLAIN, "fcn32s-minivgg", None, (32, 600, 5e-3))),
        "class balancing": (
            "claims-balanced",
            net(PLAIN, "fcn32s-minivgg", None, (32, 600, 5e-3), class_weights="balanced"),
        ),
        "mirroring": ("claims-mirrored", net(SCENES, "fcn32s-minivgg", None, (32, 600, 5e-3))),
        "jitter": ("claims-jitter", net(PLAIN, "fcn32s-minivgg", None, (32, 600, 5e-3)) | {"data.augment.shift": 8}),
        "batches of 20, momentum .9": (
            "claims-momentum90",
            net(SGD, "fcn32s-minivgg", None, (32, 400, 0.03), batch_size=20),
        ),
        "single images, momentum .99": (
            "claims-momentum99",
            net(SGD, "fcn32s-minivgg", None, (32, 8000, 0.03 / 200), batch_size=1)
            | {"train.optimizer.momentum": 0.99, "train.optimizer.warmup": 400},
        ),
        "mean of the loss": ("claims-mean", net(EXACT, "fcn32s-minivgg", None, (32, 300, 0.03), batch_size=16)),
        "sum of the loss, learning rate divided": (
            "claims-sum",
            net(EXACT, "fcn32s-minivgg", None, (32, 300, 0.03 / PIXELS), batch_size=16, reduction="sum")
            | {"train.optimizer.weight_decay": 5e-4 * PIXELS},
        ),
    },
    ("claims", "voc2012", None): {},
    **{("T2", "voc2012", backbone): t2(backbone) for backbone in OWN},
    **{("T4", "nyudv2", backbone): t4_tuned(backbone) for backbone in OWN},
    **{
        (name, "voc2012", backbone): {"staged": (f"voc-fcn8s-{backbone}", staged(backbone))}
        for name in ("T3", "shift", "outlines")
        for backbone in OWN
    },
    **{
        ("upsampling", "voc2012", backbone): {
            "fixed": (f"voc-fcn8s-{backbone}", staged(backbone)),
            "learned": (f"voc-fcn8s-{backbone}-learned", staged(backbone) | {"model.deconvolution": "learned"}),
        }
        for backbone in OWN
    },
    **{(name, "scenes", None): {"staged": ("scenes-fcn4s-minivgg", T2_STAGED)} for name in ("T3", "shift", "outlines")},
    **{(name, "voc2012", None): {"staged": ("voc-fcn8s-squeezenet1_1", VOC_STAGED)} for name in ("T3", "shift", "outlines")},
    **{("bound", data, None): {} for data in ("scenes", "voc2012", "nyudv2")},
}  # fmt: skip
