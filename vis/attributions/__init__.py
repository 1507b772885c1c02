"""Explainers for batches and data sets: made once, called often. `from vis import Saliency` works, too.

| class | evaluated at | gradient | map |
|---|---|---|---|
| `Saliency` | the input | true, or any modifier | magnitude of the gradient |
| `GradientInput` | the input | true | gradient times input |
| `DeconvNet`, `GuidedBackprop` | the input | rectified, guided | the gradient |
| `IntegratedGradients` | a path from a baseline | true | mean gradient, times the input minus the baseline |
| `GradientShap` | points between references and the input | true | the same, averaged over random draws |
| `DeepLift`, `DeepLiftShap` | the input and references | slopes between them | slope times the difference |
| `SmoothGrad`, `SquareGrad`, `VarGrad` | noisy copies | any explainer's | mean, mean square, variance |
| `GradCAM`, `GradCAMPlusPlus`, `XGradCAM` | the input | by a layer | feature maps, weighted by the gradient |
| `HiResCAM`, `LayerCAM` | the input | by a layer | the same, position by position |
| `GuidedGradCAM` | the input | guided, and by a layer | `GuidedBackprop` times `GradCAM` |
| `ScoreCAM`, `AblationCAM` | masked copies, changed features | none | feature maps, weighted by scores |
| `EigenCAM` | the input | none | first principal direction of the features |
| `LRP`, `DeepTaylor`, `ExcitationBackprop`, `AttnLRP` | the input | relevance, by rules | relevance |
| `AttentionRollout`, `AttentionRelevance` | the input | by attention weights | attention of all layers |
| `LayerConductance` | a path of the inputs | by a layer | gradient times the step of the layer |
| `InternalInfluence` | a path of the inputs | by a layer | mean gradient |
| `NeuronGradient` | the input | of a value inside | the gradient |
| `Occlusion`, `FeatureAblation` | copies without a part | none | drop of the score |
| `Rise` | copies of which random masks keep a part | none | mean score where a position is kept |
| `Lime`, `KernelShap` | copies without some features | none | coefficients of a regression, Shapley values |
| `SobolAttribution`, `HsicAttribution` | copies with shares of features | none | dependence of the score |

```python
explainer = Saliency(vis.linear_outputs(model))
maps = explainer.explain(images, labels)  # (N, H, W, 1)
```
"""

from vis.attributions.attention import AttentionMap, AttentionRelevance, AttentionRollout
from vis.attributions.base import Attribution, Explained, Explainer
from vis.attributions.cam import (
    ClassActivation,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
)
from vis.attributions.channels import AblationCAM, ChannelActivation, EigenCAM, ScoreCAM
from vis.attributions.coalitions import Coalitions, FeatureAblation
from vis.attributions.conservation import Conservation
from vis.attributions.deep_lift import DeepLift, DeepLiftShap
from vis.attributions.features import superpixels
from vis.attributions.gradient import (
    DeconvNet,
    GradientExplainer,
    GradientInput,
    GuidedBackprop,
    ModifiedGradient,
    Saliency,
)
from vis.attributions.gradient_shap import GradientShap
from vis.attributions.guided_cam import GuidedGradCAM
from vis.attributions.hsic import HsicAttribution
from vis.attributions.integrated_gradients import IntegratedGradients
from vis.attributions.kernel_shap import KernelShap
from vis.attributions.layers import InternalInfluence, LayerConductance, NeuronGradient
from vis.attributions.lime import Lime
from vis.attributions.occlusion import Occlusion
from vis.attributions.perturbed import Perturbed
from vis.attributions.relevance import LRP, AttnLRP, DeepTaylor, ExcitationBackprop
from vis.attributions.rise import Rise
from vis.attributions.saliency_maps import compute_saliency_maps
from vis.attributions.smoothing import Smoothed, SmoothGrad, SquareGrad, VarGrad
from vis.attributions.sobol import SobolAttribution
from vis.attributions.training import ExplainEpochs
from vis.engine import wrapped

__all__ = [
    "LRP",
    "AblationCAM",
    "AttentionMap",
    "AttentionRelevance",
    "AttentionRollout",
    "AttnLRP",
    "Attribution",
    "ChannelActivation",
    "ClassActivation",
    "Coalitions",
    "Conservation",
    "DeconvNet",
    "DeepLift",
    "DeepLiftShap",
    "DeepTaylor",
    "EigenCAM",
    "ExcitationBackprop",
    "ExplainEpochs",
    "Explained",
    "Explainer",
    "FeatureAblation",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientExplainer",
    "GradientInput",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "HsicAttribution",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "LayerCAM",
    "LayerConductance",
    "Lime",
    "ModifiedGradient",
    "NeuronGradient",
    "Occlusion",
    "Perturbed",
    "Rise",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Smoothed",
    "SobolAttribution",
    "SquareGrad",
    "VarGrad",
    "XGradCAM",
    "compute_saliency_maps",
    "superpixels",
    "wrapped",
]


def __dir__() -> list[str]:
    return sorted(__all__)
