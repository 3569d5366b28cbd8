"""The fields of Caffe's messages that are read here, by number; taken from the wire format, whose numbers never change.

A line is ``number name kind``. A kind is a scalar of protobuf, an enumeration or a message of this table; ``*`` in front of it
means that it is repeated, ``=`` behind it the default. Every setting of the layers that :mod:`fullconv.interop.caffe.layers`
runs is here, so a text file with a setting that Caffe does not know is refused and not half read.
"""

ENUMS = {
    "Phase": {"TRAIN": 0, "TEST": 1},
    "Engine": {"DEFAULT": 0, "CAFFE": 1, "CUDNN": 2},
    "Pool": {"MAX": 0, "AVE": 1, "STOCHASTIC": 2},
    "RoundMode": {"CEIL": 0, "FLOOR": 1},
    "NormRegion": {"ACROSS_CHANNELS": 0, "WITHIN_CHANNEL": 1},
    "EltwiseOp": {"PROD": 0, "SUM": 1, "MAX": 2},
    "Variance": {"FAN_IN": 0, "FAN_OUT": 1, "AVERAGE": 2},
    "Backend": {"LEVELDB": 0, "LMDB": 1},
    "Normalization": {"FULL": 0, "VALID": 1, "BATCH_SIZE": 2, "NONE": 3},
    "ShareMode": {"STRICT": 0, "PERMISSIVE": 1},
}
"""Enumerations that messages use; one whose values overlap with another's has its own scope."""

OLD_KINDS = {
    "None": 0, "Accuracy": 1, "BNLL": 2, "Concat": 3, "Convolution": 4, "Data": 5, "Dropout": 6, "EuclideanLoss": 7,
    "Flatten": 8, "HDF5Data": 9, "HDF5Output": 10, "Im2col": 11, "ImageData": 12, "InfogainLoss": 13, "InnerProduct": 14,
    "LRN": 15, "MultinomialLogisticLoss": 16, "Pooling": 17, "ReLU": 18, "Sigmoid": 19, "Softmax": 20, "SoftmaxWithLoss": 21,
    "Split": 22, "TanH": 23, "WindowData": 24, "Eltwise": 25, "Power": 26, "SigmoidCrossEntropyLoss": 27, "HingeLoss": 28,
    "MemoryData": 29, "ArgMax": 30, "Threshold": 31, "DummyData": 32, "Slice": 33, "MVN": 34, "AbsVal": 35, "Silence": 36,
    "ContrastiveLoss": 37, "Exp": 38, "Deconvolution": 39,
}  # fmt: skip
"""Numbers of the layer types in the older form (``layers``), by the names that the newer form (``layer``) writes out."""

SPELLED = {"SoftmaxWithLoss": "SOFTMAX_LOSS", "HDF5Data": "HDF5_DATA", "HDF5Output": "HDF5_OUTPUT", "TanH": "TANH"}
"""Types of the older form whose names in text do not follow from the newer ones."""

MESSAGES = {
    "BlobShape": "1 dim *int64",
    "BlobProto": """1 num int32; 2 channels int32; 3 height int32; 4 width int32; 5 data *float; 6 diff *float;
        7 shape BlobShape; 8 double_data *double; 9 double_diff *double""",
    "FillerParameter": """1 type string; 2 value float; 3 min float; 4 max float; 5 mean float; 6 std float; 7 sparse int32;
        8 variance_norm Variance""",
    "NetState": "1 phase Phase; 2 level int32; 3 stage *string",
    "NetStateRule": "1 phase Phase; 2 min_level int32; 3 max_level int32; 4 stage *string; 5 not_stage *string",
    "ParamSpec": "1 name string; 2 share_mode ShareMode; 3 lr_mult float; 4 decay_mult float",
    "TransformationParameter": """1 scale float; 2 mirror bool; 3 crop_size uint32; 4 mean_file string; 5 mean_value *float;
        6 force_color bool; 7 force_gray bool""",
    "LossParameter": "1 ignore_label int32; 2 normalize bool; 3 normalization Normalization",
    "AccuracyParameter": "1 top_k uint32; 2 axis int32; 3 ignore_label int32",
    "BatchNormParameter": "1 use_global_stats bool; 2 moving_average_fraction float; 3 eps float=1e-5",
    "ConcatParameter": "2 axis int32=1; 1 concat_dim uint32=1",
    "ConvolutionParameter": """1 num_output uint32; 2 bias_term bool=true; 3 pad *uint32; 4 kernel_size *uint32;
        5 group uint32=1; 6 stride *uint32; 7 weight_filler FillerParameter; 8 bias_filler FillerParameter; 9 pad_h uint32;
        10 pad_w uint32; 11 kernel_h uint32; 12 kernel_w uint32; 13 stride_h uint32; 14 stride_w uint32; 15 engine Engine;
        16 axis int32=1; 17 force_nd_im2col bool; 18 dilation *uint32""",
    "CropParameter": "1 axis int32=2; 2 offset *uint32",
    "DataParameter": """1 source string; 2 scale float; 3 mean_file string; 4 batch_size uint32; 5 crop_size uint32;
        6 mirror bool; 7 rand_skip uint32; 8 backend Backend; 9 force_encoded_color bool; 10 prefetch uint32""",
    "DropoutParameter": "1 dropout_ratio float=0.5",
    "EltwiseParameter": "1 operation EltwiseOp=SUM; 2 coeff *float; 3 stable_prod_grad bool",
    "FlattenParameter": "1 axis int32=1; 2 end_axis int32=-1",
    "ImageDataParameter": """1 source string; 2 scale float; 3 mean_file string; 4 batch_size uint32; 5 crop_size uint32;
        6 mirror bool; 7 rand_skip uint32; 8 shuffle bool; 9 new_height uint32; 10 new_width uint32; 11 is_color bool;
        12 root_folder string""",
    "InnerProductParameter": """1 num_output uint32; 2 bias_term bool=true; 3 weight_filler FillerParameter;
        4 bias_filler FillerParameter; 5 axis int32=1; 6 transpose bool""",
    "InputParameter": "1 shape *BlobShape",
    "LRNParameter": """1 local_size uint32=5; 2 alpha float=1; 3 beta float=0.75; 4 norm_region NormRegion; 5 k float=1;
        6 engine Engine""",
    "PoolingParameter": """1 pool Pool; 2 kernel_size uint32; 3 stride uint32=1; 4 pad uint32; 5 kernel_h uint32;
        6 kernel_w uint32; 7 stride_h uint32; 8 stride_w uint32; 9 pad_h uint32; 10 pad_w uint32; 11 engine Engine;
        12 global_pooling bool; 13 round_mode RoundMode""",
    "PReLUParameter": "1 filler FillerParameter; 2 channel_shared bool",
    "PythonParameter": "1 module string; 2 layer string; 3 param_str string; 4 share_in_parallel bool",
    "ReLUParameter": "1 negative_slope float; 2 engine Engine",
    "ScaleParameter": """1 axis int32=1; 2 num_axes int32=1; 3 filler FillerParameter; 4 bias_term bool;
        5 bias_filler FillerParameter""",
    "SigmoidParameter": "1 engine Engine",
    "SoftmaxParameter": "1 engine Engine; 2 axis int32=1",
    "TanHParameter": "1 engine Engine",
    "LayerParameter": """1 name string; 2 type string; 3 bottom *string; 4 top *string; 5 loss_weight *float; 6 param *ParamSpec;
        7 blobs *BlobProto; 8 include *NetStateRule; 9 exclude *NetStateRule; 10 phase Phase; 11 propagate_down *bool;
        100 transform_param TransformationParameter; 101 loss_param LossParameter; 102 accuracy_param AccuracyParameter;
        104 concat_param ConcatParameter; 106 convolution_param ConvolutionParameter; 107 data_param DataParameter;
        108 dropout_param DropoutParameter; 110 eltwise_param EltwiseParameter; 115 image_data_param ImageDataParameter;
        117 inner_product_param InnerProductParameter; 118 lrn_param LRNParameter; 121 pooling_param PoolingParameter;
        123 relu_param ReLUParameter; 124 sigmoid_param SigmoidParameter; 125 softmax_param SoftmaxParameter;
        127 tanh_param TanHParameter; 130 python_param PythonParameter; 131 prelu_param PReLUParameter;
        135 flatten_param FlattenParameter; 139 batch_norm_param BatchNormParameter; 142 scale_param ScaleParameter;
        143 input_param InputParameter; 144 crop_param CropParameter""",
    "V1LayerParameter": """2 bottom *string; 3 top *string; 4 name string; 5 type OldKind; 6 blobs *BlobProto; 7 blobs_lr *float;
        8 weight_decay *float; 9 concat_param ConcatParameter; 10 convolution_param ConvolutionParameter;
        11 data_param DataParameter; 12 dropout_param DropoutParameter; 15 image_data_param ImageDataParameter;
        17 inner_product_param InnerProductParameter; 18 lrn_param LRNParameter; 19 pooling_param PoolingParameter;
        24 eltwise_param EltwiseParameter; 27 accuracy_param AccuracyParameter; 30 relu_param ReLUParameter;
        32 include *NetStateRule; 33 exclude *NetStateRule; 35 loss_weight *float; 36 transform_param TransformationParameter;
        37 tanh_param TanHParameter; 38 sigmoid_param SigmoidParameter; 39 softmax_param SoftmaxParameter;
        42 loss_param LossParameter; 1001 param *string; 1002 blob_share_mode *ShareMode""",
    "NetParameter": """1 name string; 2 layers *V1LayerParameter; 3 input *string; 4 input_dim *int32; 5 force_backward bool;
        6 state NetState; 7 debug_info bool; 8 input_shape *BlobShape; 100 layer *LayerParameter""",
}
"""Fields by message."""

PACKED = {("BlobShape", "dim"), *(("BlobProto", name) for name in ("data", "diff", "double_data", "double_diff"))}
