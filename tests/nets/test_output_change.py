"""The change by a step of all weights equals that of an explicit Jacobian, and leaves no trace."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from zoo import Unseen, inputs, zoo

from skal import NetClassifier
from skal._changes import emoc
from skal.nets import output_change as module_of_changes
from skal.nets.output_change import output_change

rng = np.random.RandomState(0)
X, y = rng.normal(size=(80, 6)), np.arange(80) % 3
FORMS = [(output, labels) for output in ("proba", "logit") for labels in ("full", "max")]
# In these two, a layer writes over what another one's gradient needs: nobody can train them.
UNTRAINABLE = {"in place", "channels, relu in place"}
ZOO = {name: pair for name, pair in zoo().items() if name not in UNTRAINABLE}


def body():
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))


def by_jacobians(module, rows, references, output, labels):
    """The definition, by gradients one at a time; the module is in evaluation mode."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]

    def gradients(values):
        flat = []
        for value in values.reshape(-1):
            parts = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
            flat.append(torch.cat([part.reshape(-1) for part in parts]))
        return torch.stack(flat)

    def run(rows):
        logits = module(rows.clone())
        return logits[0] if isinstance(logits, tuple) else logits

    of_references = run(references) if output == "logit" else run(references).softmax(-1)
    jacobian = gradients(of_references).reshape(*of_references.shape, -1)
    scores = []
    for row in rows.split(1):
        log_proba = run(row).log_softmax(-1)[0]
        proba = log_proba.exp().detach()
        expected = proba if labels == "full" else torch.eye(len(proba)).to(proba)[proba.argmax()]
        steps = gradients(-log_proba)
        scores.append(expected.double() @ (jacobian @ steps.T).abs().sum(1).mean(0).double())
    return torch.stack(scores).cpu().numpy()


@pytest.mark.parametrize("name", ZOO)
def test_modules_of_all_kinds_equal_their_explicit_jacobian(name):
    module, kind = ZOO[name]
    module = module.double()
    rows = inputs(kind, 7)
    rows = rows.double() if rows.is_floating_point() else rows
    output, labels = FORMS[list(ZOO).index(name) % len(FORMS)]
    expected = by_jacobians(module, rows[:3], rows[2:], output, labels)
    changes = output_change(module, rows[:3], rows[2:], output=output, labels=labels)
    np.testing.assert_allclose(changes, expected, rtol=1e-6, atol=1e-12)
    assert expected.max() > 0


@pytest.fixture(scope="module")
def net():
    return NetClassifier(body(), dtype="float64", max_epochs=3, random_state=0).fit(X, y)


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_a_net_with_dropout_and_batch_normalisation_is_taken_in_evaluation_mode(net, output, labels):
    net.module_.train()  # whatever its user has left it in
    changes = output_change(net, X[:9], X[:70], output=output, labels=labels)
    net.module_.eval()
    rows = torch.from_numpy(X).to(net.device)
    expected = by_jacobians(net.module_, rows[:9], rows[:70], output, labels)
    np.testing.assert_allclose(changes, expected, rtol=1e-6)


def test_nothing_of_the_net_and_of_the_random_states_changes(net):
    net.module_[3].train()
    flags = [layer.training for layer in net.module_.modules()]
    state = {name: value.clone() for name, value in net.module_.state_dict().items()}
    gradients = [weight.grad for weight in net.module_.parameters()]
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.is_grad_enabled()
    fast = torch.backends.mha.get_fastpath_enabled()
    output_change(net, X[:3], X)
    assert [layer.training for layer in net.module_.modules()] == flags
    assert all(torch.equal(value, state[name]) for name, value in net.module_.state_dict().items())
    assert all(
        now is then for now, then in zip((w.grad for w in net.module_.parameters()), gradients, strict=True)
    )
    assert all(weight.requires_grad for weight in net.module_.parameters())
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.is_grad_enabled() == before[2]
    assert torch.backends.mha.get_fastpath_enabled() == fast


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_weights_that_are_fixed_stay_so_and_with_the_last_layer_alone_it_is_the_closed_form(
    net, output, labels
):
    head_only = body().double().eval()
    head_only.load_state_dict(net.module_.state_dict())
    for weight in head_only[:4].parameters():
        weight.requires_grad_(False)
    with torch.no_grad():
        Z = head_only[:4](torch.from_numpy(X)).numpy()
    proba = net.predict_proba(X)
    expected = emoc(proba, Z, proba[:50], Z[:50], output=output, labels=labels)
    changes = output_change(head_only, X, X[:50], output=output, labels=labels)
    np.testing.assert_allclose(changes, expected, rtol=1e-6)
    assert not np.allclose(output_change(net, X[:5], X[:50], output=output, labels=labels), expected[:5])


def test_a_module_without_anything_to_train_is_refused():
    module = body().requires_grad_(False)
    with pytest.raises(ValueError, match="No weight of Sequential requires gradients"):
        output_change(module, X, X)


@pytest.mark.parametrize("labels", ["full", "max"])
def test_how_many_steps_are_followed_at_once_changes_nothing(net, labels, monkeypatch):
    expected = output_change(net, X[:5], X, labels=labels)
    for n in (1, 3):
        monkeypatch.setattr(module_of_changes, "_DIRECTIONS", n)
        np.testing.assert_allclose(output_change(net, X[:5], X, labels=labels), expected, rtol=1e-9)


def test_a_sure_label_changes_nothing_and_divides_by_nothing():
    module = nn.Linear(6, 3).double()
    with torch.no_grad():
        module.bias[:] = torch.tensor([2000.0, 0, 0])  # probabilities of exactly 1 and 0
    np.testing.assert_array_equal(output_change(module, X[:4], X, output="logit"), 0)


def test_a_module_that_writes_over_its_input_gets_a_copy_each_time():
    class Adding(nn.Module):
        """Makes other rows of its input in each pass."""

        def forward(self, X):
            return X.add_(1)

    layers = nn.Linear(6, 5).double(), nn.ReLU(), nn.Linear(5, 3).double()
    rows = X.copy()
    changes = output_change(nn.Sequential(Adding(), *layers), rows[:3], rows)
    np.testing.assert_allclose(changes, output_change(nn.Sequential(*layers), X[:3] + 1, X + 1))
    np.testing.assert_array_equal(rows, X)


def test_nets_of_skorch_work_and_what_returns_probabilities_does(net):
    plain = NeuralNetClassifier(
        body(), criterion=nn.CrossEntropyLoss, max_epochs=0, train_split=None, verbose=0
    )
    plain.fit(X.astype(np.float32), y)
    plain.module_.load_state_dict(net.module_.state_dict())
    plain.module_.double()
    expected = output_change(net, X[:4], X)
    np.testing.assert_allclose(output_change(plain, X[:4], X), expected, rtol=1e-6)
    with_softmax = nn.Sequential(body(), nn.Softmax(dim=-1)).double()
    of_proba = NeuralNetClassifier(with_softmax, max_epochs=0, train_split=None, verbose=0).fit(X, y)
    of_proba.module_[0].load_state_dict(net.module_.state_dict())
    np.testing.assert_allclose(output_change(of_proba, X[:4], X), expected, rtol=1e-9)


def test_what_torch_can_not_follow_is_said():
    with pytest.raises(RuntimeError) as caught:
        output_change(Unseen().eval(), inputs("rows", 3), inputs("rows", 5))
    assert 'layers="last"' in "".join(caught.value.__notes__)


def test_rows_are_checked(net):
    with pytest.raises(ValueError, match="X has 4 features"):
        output_change(net, X[:, :4], X)
