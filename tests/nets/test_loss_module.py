"""The loss module, and the law of its training: the order of disjoint pairs."""

from itertools import product

import pytest
import torch
from numpy.testing import assert_array_equal

from skal.nets.loss_module import LossModule, pair_loss


def by_hand(predicted, losses, margin):
    """The formula of the paper, pair by pair; ties apart."""
    half, total = len(predicted) // 2, 0
    for i in range(half):
        j = i + half
        sign = 1 if losses[i] > losses[j] else -1
        if losses[i] != losses[j]:
            total += max(0, -sign * (predicted[i] - predicted[j]) + margin)
    return total / half


@pytest.mark.parametrize(("n", "margin"), list(product([2, 7, 40], [0.3, 1.0])))
def test_pair_loss_is_the_formula_over_disjoint_pairs(n, margin):
    predicted, losses = torch.randn(n), torch.rand(n).round(decimals=1)
    expected = by_hand(predicted.tolist(), losses.tolist(), margin)
    assert pair_loss(predicted, losses, margin).item() == pytest.approx(expected, abs=1e-6)


def test_pairs_in_order_and_apart_cost_nothing_and_no_pair_pulls_in_the_wrong_direction():
    losses = torch.tensor([0.1, 0.9, 0.5, 0.2])
    assert pair_loss(torch.tensor([0.0, 3.0, 1.0, 2.0]), losses) == 0
    predicted = torch.zeros(4, requires_grad=True)
    pair_loss(predicted, losses).backward()
    assert_array_equal(predicted.grad.sign(), [1, -1, -1, 1])  # downhill is towards the order of the losses


def test_the_last_row_of_an_odd_number_and_ties_have_no_say():
    predicted = torch.tensor([0.0, 0.0, 0.0, 0.0, 5.0], requires_grad=True)
    pair_loss(predicted, torch.tensor([0.3, 0.2, 0.3, 0.1, 9.0])).backward()
    assert_array_equal(predicted.grad, [0, -0.5, 0, 0.5, 0])
    alone = torch.ones(1, requires_grad=True)
    loss = pair_loss(alone, torch.ones(1))
    loss.backward()
    assert (loss, alone.grad) == (0, 0)


def test_no_gradient_goes_into_the_losses():
    predicted, losses = torch.randn(6, requires_grad=True), torch.rand(6, requires_grad=True)
    pair_loss(predicted, losses, weight=torch.ones(6)).backward()
    assert losses.grad is None
    assert predicted.grad is not None


def test_pairs_have_the_product_of_their_rows_weights():
    predicted, losses = torch.zeros(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert pair_loss(predicted, losses, weight=torch.tensor([2.0, 1.0, 0.5, 0.0])) == 0.5


def test_a_loss_module_reads_all_its_taps():
    module, features = LossModule([3, 5], hidden=4), [torch.randn(6, 3), torch.randn(6, 5)]
    assert module(features).shape == (6,)
    for number in range(2):
        changed = [part + (i == number) for i, part in enumerate(features)]
        assert not torch.equal(module(features), module(changed))
