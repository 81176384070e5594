"""What predicts the loss of rows, and the loss that it is trained with."""

import torch
from torch import nn


class LossModule(nn.Module):
    """Predicts the loss of rows from what hidden layers make of them; a list of (b, channels) -> (b,).

    Each tap has a linear layer of its own and a ReLU; a last linear layer reads all of them.

    Parameters
    ----------
    channels : sequence of int
        The width of each tap.
    hidden : int, default=128
        To what width each tap is brought.

    Examples
    --------
    >>> import torch
    >>> LossModule([16, 32])([torch.zeros(5, 16), torch.zeros(5, 32)]).shape
    torch.Size([5])
    """

    def __init__(self, channels, hidden=128):
        super().__init__()
        self.taps = nn.ModuleList(nn.Linear(width, hidden) for width in channels)
        self.output = nn.Linear(hidden * len(channels), 1)

    def forward(self, features):
        """Predicted losses of the rows of a batch."""
        parts = [torch.relu(tap(part.to(tap.weight))) for tap, part in zip(self.taps, features, strict=True)]
        return self.output(torch.cat(parts, dim=1)).squeeze(1)


def pair_loss(predicted, losses, margin=1.0, weight=None):
    """How badly predicted losses order pairs of rows; (b,), (b,) -> ().

    ``mean over pairs of max(0, margin - sign(l_i - l_j) (p_i - p_j))``: 0 for pairs in the right order whose
    predictions are `margin` apart. Row i of the first half of the batch is paired with row i of the second;
    the last row of an odd number is left out. Pairs of equal losses have no order, and count as 0. No
    gradient goes into `losses`.

    Parameters
    ----------
    predicted, losses : tensor of shape (b,)
    margin : float, default=1.0
        In units of the predictions, which hang on it alone.
    weight : tensor of shape (b,) or None, default=None
        Weights of rows with mean 1; a pair has the product of its rows' weights.

    Examples
    --------
    >>> import torch
    >>> pair_loss(torch.tensor([3.0, 0.0]), torch.tensor([0.9, 0.1])).item()
    0.0
    """
    half = len(predicted) // 2
    if half == 0:  # a mean of nothing would be NaN
        return predicted.sum() * 0
    first, second = slice(half), slice(half, 2 * half)
    order = (losses[first] - losses[second]).detach().sign()
    loss = order.abs() * torch.relu(margin - order * (predicted[first] - predicted[second]))
    return (loss if weight is None else loss * (weight[first] * weight[second]).to(loss)).mean()
