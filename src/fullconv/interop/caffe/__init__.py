"""Caffe's files without Caffe: weights (.caffemodel) and definitions (.prototxt) of nets, the published FCNs first of all.

``fields`` and ``schema`` are the format; ``caffemodel`` finds the weights in a file without copying them, ``prototxt`` reads the
text; ``published`` knows the layer names of the reference's models, ``transplant`` puts their weights into ours; ``layers`` and
``net`` build and run any plain net.
"""

from fullconv.interop.caffe.caffemodel import CaffeModel, read_caffemodel
from fullconv.interop.caffe.importing import import_caffemodel
from fullconv.interop.caffe.net import PlainNet, build_net, load_net, save_net
from fullconv.interop.caffe.prototxt import read_prototxt
from fullconv.interop.caffe.published import PUBLISHED

__all__ = [
    "PUBLISHED",
    "CaffeModel",
    "PlainNet",
    "build_net",
    "import_caffemodel",
    "load_net",
    "read_caffemodel",
    "read_prototxt",
    "save_net",
]
