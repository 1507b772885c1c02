"""Keras models seen from outside: finding layers, reading values inside, models that share variables."""

from vis.models.addresses import find_layer, runs
from vis.models.alike import read_once
from vis.models.calls import POINTS, Call, lasting, operation_of, spec_of
from vis.models.channels import filter_axis, input_channel_axis, is_series, located
from vis.models.ends import own_squashings, squashings, warn_of_softmax
from vis.models.find import (
    check_built,
    check_data_format,
    check_model,
    child_layers,
    held_operations,
    input_structure,
    input_tensors,
    output_shape,
    output_structure,
    output_tensors,
    unmodified,
    upstream,
    walk,
)
from vis.models.folding import foldable, scaled_kernels
from vis.models.linear import activation_name, linear_outputs, shared_copy
from vis.models.masks import MaskMakers, Masks, makes_masks, mask_makers
from vis.models.modified import is_modified_too, layer_coverage, modified, report_coverage
from vis.models.positions import Reading, Weighted
from vis.models.probe import Known, Probe, paths_of
from vis.models.reading import first_float_layer, read
from vis.models.settings import Settings

__all__ = [
    "POINTS",
    "Call",
    "Known",
    "MaskMakers",
    "Masks",
    "Probe",
    "Reading",
    "Settings",
    "Weighted",
    "activation_name",
    "check_built",
    "check_data_format",
    "check_model",
    "child_layers",
    "filter_axis",
    "find_layer",
    "first_float_layer",
    "foldable",
    "held_operations",
    "input_channel_axis",
    "input_structure",
    "input_tensors",
    "is_modified_too",
    "is_series",
    "lasting",
    "layer_coverage",
    "linear_outputs",
    "located",
    "makes_masks",
    "mask_makers",
    "modified",
    "operation_of",
    "output_shape",
    "output_structure",
    "output_tensors",
    "own_squashings",
    "paths_of",
    "read",
    "read_once",
    "report_coverage",
    "runs",
    "scaled_kernels",
    "shared_copy",
    "spec_of",
    "squashings",
    "unmodified",
    "upstream",
    "walk",
    "warn_of_softmax",
]
