"""The test cases of ONNX's own operators, computed by convcore's functions: each passes or is listed with a reason.

They come with the onnx package, inputs and outputs and tolerances included.
"""

import importlib
import warnings

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx.backend.test.case import node as onnx_cases
from onnx_adapter import OPERATORS, Unsupported, run

# Where an operator's cases stand in onnx.backend.test.case.node, if not under its name in small letters.
MODULES = {
    "BatchNormalization": "batch_normalization",
    "CausalConvWithState": "causal_conv_with_state",
    "SoftmaxCrossEntropyLoss": "softmax_cross_entropy_loss",
}

# What cannot pass, and why: {operator: {reason: names of cases, without the "test_" that all begin with}}.
INTEGERS = "integers and booleans become float64, results are floats"
FLOAT16 = "float32 and float64 are the only floats"
WEIGHTS = "losses have no class weights"
IGNORED = "losses have no class to ignore"
UNSUPPORTED = {
    "Add": {INTEGERS: "add_int8 add_int16 add_uint8 add_uint16 add_uint32 add_uint64"},
    "CausalConvWithState": {FLOAT16: "causal_conv_with_state_fp16 causal_conv_with_state_silu_fp16"},
    "Clip": {
        INTEGERS: "clip_default_int8_min clip_default_int8_max clip_default_int8_inbounds",
        "clipped_relu has a ceiling above 0": "clip_min_greater_than_max",
    },
    "Div": {INTEGERS: "div_int8 div_int16 div_int32_trunc div_uint8 div_uint16 div_uint32 div_uint64"},
    "Dropout": {
        "dropout returns no mask": "dropout_default_mask dropout_default_mask_ratio training_dropout_default_mask "
        "training_dropout_mask training_dropout_zero_ratio_mask",
        "dropout draws from a generator of its own": "training_dropout_default training_dropout",
    },
    "Gelu": {"gelu is the exact function, there is no approximation by tanh": "gelu_tanh_1 gelu_tanh_2"},
    "MaxPool": {INTEGERS: "maxpool_2d_uint8"},
    "Mul": {INTEGERS: "mul_int8 mul_int16 mul_uint8 mul_uint16 mul_uint32 mul_uint64"},
    "NegativeLogLikelihoodLoss": {
        WEIGHTS: "nllloss_NCd1d2_with_weight nllloss_NCd1d2_with_weight_reduction_mean "
        "nllloss_NCd1d2_with_weight_reduction_sum nllloss_NCd1d2_with_weight_reduction_sum_ii nllloss_NCd1_weight "
        "nllloss_NCd1_weight_ii nllloss_NCd1d2d3d4d5_mean_weight nllloss_NCd1_mean_weight_negative_ii "
        "nllloss_NCd1d2d3_sum_weight_high_ii",
        IGNORED: "nllloss_NCd1d2_no_weight_reduction_mean_ii nllloss_NCd1_ii "
        "nllloss_NCd1d2d3_none_no_weight_negative_ii",
    },
    "Pad": {
        "pad puts a constant around an array, patterns are an option of convolutions": "edge_pad reflect_pad wrap_pad",
    },
    "Pow": {INTEGERS: "pow_types_int64_float32 pow_types_int32_float32 pow_types_int64_int64 pow_types_int32_int32"},
    "ReduceMax": {
        INTEGERS: "reduce_max_bool_inputs",
        "a maximum of no elements is an error": "reduce_max_empty_set reduce_max_empty_set_bool",
    },
    "SoftmaxCrossEntropyLoss": {
        WEIGHTS: "sce_none_weights sce_none_weights_log_prob sce_mean_weight sce_mean_weight_log_prob "
        "sce_mean_weight_ii sce_mean_weight_ii_log_prob sce_mean_weight_ii_3d sce_mean_weight_ii_3d_log_prob "
        "sce_mean_weight_ii_4d sce_mean_weight_ii_4d_log_prob sce_NCd1d2d3d4d5_mean_weight "
        "sce_NCd1d2d3d4d5_mean_weight_log_prob sce_NCd1_mean_weight_negative_ii "
        "sce_NCd1_mean_weight_negative_ii_log_prob sce_NCd1d2d3_sum_weight_high_ii "
        "sce_NCd1d2d3_sum_weight_high_ii_log_prob",
        IGNORED: "sce_mean_no_weight_ii sce_mean_no_weight_ii_log_prob sce_mean_no_weight_ii_3d "
        "sce_mean_no_weight_ii_3d_log_prob sce_mean_no_weight_ii_4d sce_mean_no_weight_ii_4d_log_prob "
        "sce_NCd1d2d3_none_no_weight_negative_ii sce_NCd1d2d3_none_no_weight_negative_ii_log_prob",
    },
    "Sub": {INTEGERS: "sub_int8 sub_int16 sub_uint8 sub_uint16 sub_uint32 sub_uint64"},
}


def cases_of(operator):
    """The cases of an operator: made when its module is imported, which for some takes seconds.

    Cases that spell an operator out in simpler ones ("expanded") are those of other operators once more.
    """
    name = MODULES.get(operator, operator.lower())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the NaN and infinities that some cases are made of
        importlib.import_module(f"{onnx_cases.__name__}.{name}")
    found = [case for case in onnx_cases._NodeTestCases if "_expanded" not in case.name]
    return [case for case in found if [node.op_type for node in case.model.graph.node] == [operator]]


def widened(arrays):
    """The same arrays and NumPy numbers, float32 as float64."""
    return [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]


def why_not(case):
    """None if the case passes, as it is and in float64; else what is wrong."""
    (node,), ((inputs, expected),) = case.model.graph.node, case.data_sets
    try:
        for given, results in ((inputs, expected), (widened(inputs), widened(expected))):
            outputs = run(node, given)
            assert len(outputs) == len(results)
            for found, wanted in zip(outputs, results, strict=True):
                assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
                np.testing.assert_allclose(found, wanted, rtol=case.rtol, atol=case.atol)
    except (Unsupported, TypeError, ValueError, AssertionError) as error:
        return error
    return None


@pytest.mark.parametrize("operator", OPERATORS)
def test_cases(operator):
    listed = {f"test_{name}": why for why, names in UNSUPPORTED.get(operator, {}).items() for name in names.split()}
    cases = {case.name: case for case in cases_of(operator)}
    wrong = [f"{name} is listed, but there is no such case" for name in listed if name not in cases]
    for name, case in cases.items():
        error = why_not(case)
        if error is None and name in listed:
            wrong.append(f"{name} is listed, but passes")
        elif error is not None and name not in listed:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
        elif isinstance(error, Unsupported) and str(error) != listed[name]:
            wrong.append(f"{name} is listed because {listed[name]}, but {error}")
    assert not wrong, "\n".join(wrong)
    assert len(cases) > len(listed), f"no case of {operator} passes"


def test_the_table_has_no_other_operators():
    assert set(UNSUPPORTED) <= set(OPERATORS)
