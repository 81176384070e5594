"""What a model can be asked for, whatever library it comes from.

The only place that knows about other people's classes: a model's own method comes first, and what is
inferred about classes that lack one stands in the closed lists of this package.
"""

from skal.capabilities._asking import predict_proba, proba_blocks, require, supports
from skal.capabilities._draws import count_members, draw_blocks, sample_proba
from skal.capabilities._embedding import (
    can_embed,
    check_layer,
    embed,
    fit_transformer,
    has_embedding,
    is_fitted,
    proba_and_embedding,
    transform,
)
from skal.capabilities._loss import predict_loss
from skal.capabilities._models import (
    allows_nan,
    continues_training,
    fenced,
    final_parameter,
    fit_parameter,
    is_semi_supervised,
    labels_pixels,
    last_step,
    mark_for,
)

__all__ = [
    "allows_nan",
    "can_embed",
    "check_layer",
    "continues_training",
    "count_members",
    "draw_blocks",
    "embed",
    "fenced",
    "final_parameter",
    "fit_parameter",
    "fit_transformer",
    "has_embedding",
    "is_fitted",
    "is_semi_supervised",
    "labels_pixels",
    "last_step",
    "mark_for",
    "predict_loss",
    "predict_proba",
    "proba_and_embedding",
    "proba_blocks",
    "require",
    "sample_proba",
    "supports",
    "transform",
]
