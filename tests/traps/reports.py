"""Situations that users of tools of this kind report: what holds here, and the tests that hold it."""

from __future__ import annotations

# A situation, what holds, and tests as `file::test`.
REPORTS: list[tuple[str, str, list[str]]] = [
    (
        "default Grad-CAM of a network that ends in a 1 x 1 convolution (MobileNet)",
        "the last value with more than one position that every path crosses",
        ["models/test_positions.py::test_the_last_value_that_every_path_crosses"],
    ),
    (
        "default Grad-CAM where branches are concatenated, gated or skipped",
        "the concatenation, or the block's output: nothing by-passes it",
        ["models/test_positions.py::test_the_score_depends_on_nothing_but_the_layer"],
    ),
    (
        "two pictures of different size; a thermal and a colour image",
        "a map over each input that the layer sees",
        [
            "test_class_maps.py::test_a_map_over_each_input_that_is_seen",
            "test_class_maps.py::test_two_towers_have_a_layer_each",
        ],
    ),
    (
        "crop, padding, resizing or slicing in front of the layer",
        "the map lies where the receptive fields are, and is zero in what was cropped away",
        [
            "test_class_maps.py::test_a_crop_at_the_top_moves_the_map_down",
            "test_class_maps.py::test_a_single_bright_pixel_is_where_the_map_peaks",
        ],
    ),
    (
        "an operation that mixes positions (a roll)",
        "the map is stretched, and a warning says so",
        ["test_class_maps.py::test_what_cannot_be_followed_is_stretched_and_said"],
    ),
    (
        "tokens of a vision transformer",
        "laid over the picture by the patch embedding's grid, or one that is given",
        [
            "models/test_positions.py::test_tokens_are_positions",
            "models/test_positions.py::test_a_grid_is_given_where_it_cannot_be_read",
        ],
    ),
    (
        "`Dense(activation=tf.nn.softmax)`, in a custom layer, a Lambda, by hand, tempered",
        "warned of; `linear_outputs` takes it off",
        ["models/test_linear.py::test_however_it_is_written_and_wherever"],
    ),
    (
        "an average of softmaxes",
        "warned of with the reason; `linear_outputs` refuses with the same",
        ["models/test_linear.py::test_several_softmaxes_are_not_taken_off_and_it_says_why"],
    ),
    (
        "a softmax in the call of a subclassed model",
        "warned of, and taken off",
        ["visualization/test_outputs.py::test_softmax_of_a_subclassed_model"],
    ),
    (
        "a saturated tanh at the end of a regression",
        "`linear_outputs` takes it off, as the advice says",
        ["visualization/test_outputs.py::test_saturated_steering"],
    ),
    (
        "`preprocess_input` as operations of the graph; `Normalization` on fractions",
        "the pixel range is read from the first operations, and printed",
        ["graph/test_pixels.py"],
    ),
    (
        "label columns `(N, 1)` of a binary data set",
        "maps of the sigmoid's logit",
        [
            "attributions/test_targets.py::test_binary_labels_explain_the_only_output",
            "attributions/test_batches.py::test_pictures_in_folders",
        ],
    ),
    (
        "label maps for segmentation",
        "masks of the classes; -1 and 255 are refused",
        ["attributions/test_targets.py::test_label_maps_are_masks_of_their_classes"],
    ),
    (
        "triples with weights, `ImageDataGenerator().flow`, `PyDataset`, dicts, strings",
        "what `Model.predict` takes",
        [
            "attributions/test_batches.py::test_streams",
            "attributions/test_store.py::test_what_predict_takes_gives_the_same_bytes",
            "test_inputs.py",
        ],
    ),
    (
        "NaN weights or outputs with methods that take no gradient",
        "an error",
        ["test_scores.py::test_what_is_not_finite_raises"],
    ),
    (
        "an activation written by hand: a product with a comparison, a maximum, a selection",
        "reached by a backprop modifier",
        [
            "graph/test_activations.py::test_an_activation_is_reached_however_it_is_written",
            "backend/test_tensorflow.py::test_gradient_by_every_route",
        ],
    ),
    (
        "guided on SiLU, GELU, Mish, hard SiLU",
        "reached; a rule is given the true derivative of the whole activation",
        ["backend/test_tensorflow.py::test_gradient_by_every_route"],
    ),
    (
        "a gate: hard sigmoid, `clip(x, -1, 1)`",
        "none of a modifier's business",
        ["backend/test_tensorflow.py::test_gate_keeps_its_true_gradient"],
    ),
    (
        "a sum around an activation",
        "a skip connection, and no leaky ReLU",
        ["backend/test_tensorflow.py::test_skip_connection_around_an_activation"],
    ),
    (
        "the last layer is a model or an operation, on the command line",
        "the library's map",
        ["cli/test_cli.py::test_whatever_the_last_layer_is"],
    ),
    (
        "a model of two outputs on the command line",
        "refused, naming their layers, or the named one",
        ["cli/test_cli.py::test_a_model_of_several_outputs"],
    ),
    (
        "a model file with a custom layer or unknown options",
        "an error with the layer, the reason and the way out",
        ["files/test_models.py::test_the_cause_of_a_failure_is_kept"],
    ),
    (
        "a picture held sideways, or of another shape than the model takes",
        "upright, not squashed, and said",
        [
            "files/test_pictures.py::test_a_picture_is_upright",
            "cli/test_cli.py::test_the_picture_is_explained_as_the_model_sees_it",
        ],
    ),
    (
        "a folder, a missing or misspelt name",
        "told before TensorFlow is loaded",
        ["cli/test_cli.py::test_a_wrong_name_is_told_before_tensorflow_is_loaded"],
    ),
    (
        "advice in Python on the command line, or that leads in a circle",
        "only what exists there, and gives another result",
        ["test_wording.py::test_no_message_asks_for_python_unsaid", "test_advice.py"],
    ),
    (
        "layers held in a named tuple, a data class, a closure",
        "a map",
        [
            "models/test_twins.py::test_layers_may_be_held_in_any_way",
            "models/test_twins.py::test_layers_that_a_call_closes_over",
        ],
    ),
    (
        "attributes called `base`, `operation`, or like any other parameter",
        "a map",
        ["models/test_twins.py::test_an_attribute_may_have_any_name"],
    ),
    (
        "an attribute (array, list, dict) that is changed after the first map",
        "noticed",
        [
            "models/test_settings.py::test_a_change_is_noticed",
            "models/test_settings.py::test_any_change_of_nested_values_is_noticed",
        ],
    ),
    (
        "a sampling layer, dropout in inference",
        "one seeded draw, the same for a sample whatever its neighbours, with a warning",
        [
            "backend/test_draws.py::test_a_sample_gets_the_same_draw_whatever_its_neighbours",
            "backend/test_draws.py::test_all_methods_warn",
        ],
    ),
    (
        "`input_range=(0, 1)` in whole numbers",
        "a picture of fractions",
        ["test_maps.py::test_a_picture_of_fractions_is_none_of_bytes"],
    ),
    (
        "a tied embedding, a shared encoder, an operation of the graph",
        'named by the call: `"embedding:1"`, `"add_3"`, the tensor',
        [
            "models/test_addresses.py::test_a_tied_embedding_is_attributed_call_by_call",
            "models/test_addresses.py::test_an_operation_is_a_layer_like_any_other",
            "models/test_addresses.py::test_what_is_ambiguous_lists_its_addresses",
        ],
    ),
    (
        "occlusion with a stride below the patch",
        "equal at all edges; a mirrored input gives the mirrored map",
        [
            "attributions/test_occlusion.py::test_a_mirrored_input_under_a_mirrored_model_gives_the_mirrored_map",
            "attributions/test_occlusion.py::test_the_mean_of_an_even_picture_is_the_same_everywhere",
            "attributions/test_occlusion.py::test_captums_toy_network",
        ],
    ),
    (
        "`Occlusion(model, 8)`",
        "refused with a hint",
        ["attributions/test_occlusion.py::test_xpliques_order_of_arguments_is_refused"],
    ),
    (
        "SmoothGrad of an explainer with a reducer",
        "that of the explainer",
        ["attributions/test_smoothing.py::test_the_reducer_of_an_explainer_is_kept_unless_another_is_given"],
    ),
    (
        "SmoothGrad of pixels up to 255",
        "the noise is a fraction of each sample's range",
        ["attributions/test_smoothing.py::test_noise_scales_with_the_input"],
    ),
    (
        "padding masked by `Masking` or `mask_zero` under noise, on paths, under patches",
        "zero there; integrated gradients are complete",
        [
            "attributions/test_masks.py::test_nothing_is_attributed_to_masked_steps",
            "attributions/test_masks.py::test_integrated_gradients_are_complete",
        ],
    ),
    (
        "a filter behind a ReLU that is zero on the start picture",
        "turned on first; a dead one is told from it",
        [
            "visualization/test_activation_maximization.py::"
            "test_a_filter_that_is_off_at_the_start_gets_a_picture",
        ],
    ),
    (
        "an operator of one's own on several outputs; an optional input of size 0",
        "its scores",
        [
            "attributions/test_operators.py::"
            "test_an_operator_on_several_outputs_is_given_its_targets_as_they_are",
            "test_inputs.py::test_an_optional_input_may_be_empty",
        ],
    ),
    (
        "a notebook cell that registers a modifier, run again",
        "replaces it; another object under a taken name raises",
        ["test_registry.py::test_what_is_defined_elsewhere_raises"],
    ),
]
