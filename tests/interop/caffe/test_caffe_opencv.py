"""The same nets by OpenCV's own Caffe importer, which shares no code with ours: in an environment of its own.

All published models at five sizes, and voc-fcn8s at its full width: ``benchmarks/published_weights.py``.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import caffemodel, prototxt, reference
from opencv import HOW, VARIABLE, OpenCV
from published_nets import TWINS, fed, inputs, thin_for_a_while

from fullconv.interop.caffe import PUBLISHED, build_net, import_caffemodel, read_caffemodel, read_prototxt
from fullconv.nn.fcn import FCN

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"no OpenCV with a Caffe importer is named: {HOW}")

REAL = {
    "lenet": ("lenet/lenet_iter_10000", "lenet/deploy", 1.0),
    "det1": ("mtcnn/det1", "mtcnn/det1", 1.0),
    # the two texts bear each other's names
    "det2": ("mtcnn/det2", "mtcnn/det3", 1.0),
    "det3": ("mtcnn/det3", "mtcnn/det2", 1.0),
    "squeezenet": ("squeezenet/squeezenet_v1.0", "squeezenet/deploy", 60.0),
}
"""Weights, text, and the spread of what the net reads."""


narrow_nets = pytest.fixture(autouse=True, scope="module")(thin_for_a_while)


@pytest.mark.realdata
def test_real_nets_compute_the_same(shared_data: Path, tmp_path: Path) -> None:
    other = OpenCV(tmp_path)
    ours = []
    for weights, text, spread in REAL.values():
        files = shared_data / "caffe" / f"{text}.prototxt", shared_data / "caffe" / f"{weights}.caffemodel"
        net, _ = build_net(read_prototxt(files[0]), read_caffemodel(files[1]))
        ((name, shape),) = net.inputs.items()
        images = np.random.default_rng(0).normal(0, spread, shape).astype(np.float32)
        with torch.no_grad():
            found = net(torch.from_numpy(images))
        maps = found if isinstance(found, dict) else {net.outputs[0]: found}
        ours.append([one.numpy() for one in maps.values()])
        other.add(*files, {name: images}, list(maps))
    for found, truth in zip(ours, other.run(), strict=True):
        for one, expected in zip(found, truth, strict=True):
            np.testing.assert_allclose(one.ravel(), expected.ravel(), atol=1e-4, rtol=0)


def test_published_nets_give_the_same_logits(tmp_path: Path) -> None:
    other = OpenCV(tmp_path)
    ours = []
    for i, name in enumerate(PUBLISHED):
        layers = reference(name)
        files = tmp_path / f"{name}.prototxt", tmp_path / f"{name}.caffemodel"
        files[1].write_bytes(caffemodel(layers, old=bool(i % 2)))
        net = import_caffemodel(files[1], name if name in TWINS else None).net
        assert isinstance(net, FCN)
        given, data = inputs(name, 64, 96)
        used = {key: maps.numpy() for key, maps in fed(layers, data).items()}
        files[0].write_text(prototxt(layers, {key: maps.shape for key, maps in used.items()}))
        with torch.no_grad():
            found = net({key: given[key] for key in net.inputs})
        ours.append([logits.numpy() for logits in found.values()])
        tops = {layer.name for layer in layers}
        other.add(*files, used, [key for key in ("score", "score_sem", "score_geo") if key in tops])
    for found, truth in zip(ours, other.run(), strict=True):
        for one, expected in zip(found, truth, strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-3, rtol=0)
