"""Situations that users of tools of this kind report, the result here, and the tests that check it."""

from __future__ import annotations

# A situation, the result, and the tests as `file::test`.
REPORTS: list[tuple[str, str, list[str]]] = [
    (
        "default Grad-CAM of a network that ends in a 1 x 1 convolution (MobileNet)",
        "the last value with more than one position that every path crosses",
        ["models/test_positions.py::test_the_last_value_that_every_path_crosses"],
    ),
    (
        "default Grad-CAM where branches are concatenated, gated or skipped",
        "the concatenation or the output of the block, which no path bypasses",
        ["models/test_positions.py::test_the_score_depends_on_nothing_but_the_layer"],
    ),
    (
        "two pictures of different sizes; a thermal and a colour image",
        "a map over each input that the layer sees",
        [
            "test_class_maps.py::test_a_map_over_each_input_that_is_seen",
            "test_class_maps.py::test_two_towers_have_a_layer_each",
        ],
    ),
    (
        "a crop, padding, resizing or slice before the layer",
        "the map lies where the receptive fields are, and is zero in the cropped part",
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
        "mapped onto the picture by the grid of the patch embedding, or by a given grid",
        [
            "models/test_positions.py::test_tokens_are_positions",
            "models/test_positions.py::test_a_grid_is_given_where_it_cannot_be_read",
        ],
    ),
    (
        "`Dense(activation=tf.nn.softmax)`; one in a custom layer, in a Lambda, by hand, with a temperature",
        "a warning; `linear_outputs` removes it",
        ["models/test_linear.py::test_however_it_is_written_and_wherever"],
    ),
    (
        "an average of softmaxes",
        "a warning with the reason; `linear_outputs` raises an error with the same reason",
        ["models/test_linear.py::test_several_softmaxes_are_not_taken_off_and_it_says_why"],
    ),
    (
        "a softmax in the call of a subclassed model",
        "a warning; `linear_outputs` removes it",
        ["visualization/test_outputs.py::test_softmax_of_a_subclassed_model"],
    ),
    (
        "a saturated tanh at the end of a regression",
        "`linear_outputs` removes it, as the advice says",
        ["visualization/test_outputs.py::test_saturated_steering"],
    ),
    (
        "`preprocess_input` as operations of the graph; `Normalization` on pixels from 0 to 1",
        "the pixel range is read from the first operations, and printed",
        ["graph/test_pixels.py"],
    ),
    (
        "label columns `(N, 1)` of a binary data set",
        "maps of the logit of the sigmoid",
        [
            "attributions/test_targets.py::test_binary_labels_explain_the_only_output",
            "backend/tensorflow/test_data_sets.py::test_pictures_in_folders",
        ],
    ),
    (
        "label maps for segmentation",
        "used as masks of the classes; -1 and 255 are refused",
        ["attributions/test_targets.py::test_label_maps_are_masks_of_their_classes"],
    ),
    (
        "triples with weights, `ImageDataGenerator().flow`, `PyDataset`, dicts, strings",
        "accepted like in `Model.predict`",
        [
            "attributions/test_batches.py::test_streams",
            "attributions/test_store.py::test_what_predict_takes_gives_the_same_bytes",
            "test_inputs.py",
        ],
    ),
    (
        "NaN weights or outputs with methods that use no gradient",
        "an error",
        ["test_scores.py::test_what_is_not_finite_raises"],
    ),
    (
        "an activation written by hand: a product with a comparison, a maximum, a selection",
        "reached by a backprop modifier",
        [
            "graph/test_activations.py::test_an_activation_is_reached_however_it_is_written",
            "backend/test_sites.py::test_gradient",
        ],
    ),
    (
        "guided on SiLU, GELU, Mish, hard SiLU",
        "reached; the rule receives the true derivative of the whole activation",
        ["backend/test_sites.py::test_gradient"],
    ),
    (
        "a gate: hard sigmoid, `clip(x, -1, 1)`",
        "keeps its true gradient",
        ["backend/test_sites.py::test_gate_keeps_its_true_gradient"],
    ),
    (
        "a sum around an activation",
        "treated as a skip connection, not as a leaky ReLU",
        ["backend/test_sites.py::test_skip_connection_around_an_activation"],
    ),
    (
        "on the command line, a last layer that is a model or an operation",
        "the same map as in Python",
        ["cli/test_draw.py::test_whatever_the_last_layer_is"],
    ),
    (
        "a model of two outputs on the command line",
        "an error that lists their layers, or the map of the chosen one",
        ["cli/test_draw.py::test_a_model_of_several_outputs"],
    ),
    (
        "a model file with a custom layer or unknown options",
        "an error with the layer, the reason and a solution",
        ["files/test_models.py::test_the_cause_of_a_failure_is_kept"],
    ),
    (
        "a picture taken sideways, or with a different shape from the model's input",
        "turned upright and cropped, not distorted, with a note",
        [
            "files/test_pictures.py::test_a_picture_is_upright",
            "cli/test_draw.py::test_the_picture_is_explained_as_the_model_sees_it",
        ],
    ),
    (
        "a folder instead of a file; a missing or misspelt name",
        "an error before TensorFlow is loaded",
        ["cli/test_app.py::test_a_wrong_name_is_told_before_keras_is_loaded"],
    ),
    (
        "advice in Python on the command line, or advice that leads in a circle",
        "only advice that works there and changes the result",
        ["test_wording.py::test_no_message_asks_for_python_unsaid", "test_advice.py"],
    ),
    (
        "layers stored in a named tuple, a data class or a closure",
        "a map",
        [
            "models/test_twins.py::test_layers_may_be_held_in_any_way",
            "models/test_twins.py::test_layers_that_a_call_closes_over",
        ],
    ),
    (
        "attributes named `base`, `operation` or like any other parameter",
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
        "one seeded draw, the same for a sample in any batch, with a warning",
        [
            "backend/tensorflow/test_draws.py::test_a_sample_gets_the_same_draw_whatever_its_neighbours",
            "backend/tensorflow/test_draws.py::test_all_methods_warn",
        ],
    ),
    (
        "`input_range=(0, 1)` as integers",
        "treated as pixels from 0 to 1, not as bytes",
        ["test_maps.py::test_a_picture_of_fractions_is_none_of_bytes"],
    ),
    (
        "a tied embedding, a shared encoder, an operation of the graph",
        'named by its call, `"embedding:1"`, its name, `"add_3"`, or its tensor',
        [
            "models/test_addresses.py::test_a_tied_embedding_is_attributed_call_by_call",
            "models/test_addresses.py::test_an_operation_is_a_layer_like_any_other",
            "models/test_addresses.py::test_what_is_ambiguous_lists_its_addresses",
        ],
    ),
    (
        "occlusion with a stride smaller than the patch",
        "equal at all borders; a mirrored input gives the mirrored map",
        [
            "attributions/test_occlusion.py::test_a_mirrored_input_under_a_mirrored_model_gives_the_mirrored_map",
            "attributions/test_occlusion.py::test_the_mean_of_an_even_picture_is_the_same_everywhere",
            "attributions/test_occlusion.py::test_captums_toy_network",
        ],
    ),
    (
        "`Occlusion(model, 8)`",
        "an error with a hint",
        ["attributions/test_occlusion.py::test_xpliques_order_of_arguments_is_refused"],
    ),
    (
        "SmoothGrad of an explainer with its own reducer",
        "the reducer of the explainer is kept",
        ["attributions/test_smoothing.py::test_the_reducer_of_an_explainer_is_kept_unless_another_is_given"],
    ),
    (
        "SmoothGrad of pixels up to 255",
        "the noise is a fraction of each sample's range",
        ["attributions/test_smoothing.py::test_noise_scales_with_the_input"],
    ),
    (
        "padding masked by `Masking` or `mask_zero` under noise, on paths, under patches",
        "the map is zero there; integrated gradients are complete",
        [
            "attributions/test_masks.py::test_nothing_is_attributed_to_masked_steps",
            "attributions/test_masks.py::test_integrated_gradients_are_complete",
        ],
    ),
    (
        "a filter whose ReLU is zero for the start picture",
        "it is activated first; a dead filter is reported as dead",
        [
            "visualization/test_activation_maximization.py::"
            "test_a_filter_that_is_off_at_the_start_gets_a_picture",
        ],
    ),
    (
        "a custom operator on several outputs; an optional input of size 0",
        "the scores of the operator",
        [
            "attributions/test_operators.py::"
            "test_an_operator_on_several_outputs_is_given_its_targets_as_they_are",
            "test_inputs.py::test_an_optional_input_may_be_empty",
        ],
    ),
    (
        "a notebook cell that registers a modifier, run again",
        "replaces it; a different object under a taken name raises an error",
        ["test_registry.py::test_what_is_defined_elsewhere_raises"],
    ),
]
