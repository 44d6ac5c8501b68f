"""A late gradient is the gradient."""

import torch

from clipvil.models._late import late


def test_gradients_are_those_of_a_layer_used_every_time() -> None:
    torch.manual_seed(0)
    weight, first = torch.randn(4, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    found = []
    for layer in (lambda rows: rows @ weight.T, late(weight)):
        for _ in range(2):  # a graph may be gone through once more
            rows, total = first, torch.zeros(())
            for step in range(5):
                rows = torch.tanh(layer(rows))[: 3 - step // 2]
                total = total + rows.square().sum()
            found.append((total, *torch.autograd.grad(total, [weight, first])))
    for one in found[1:]:
        for mine, its in zip(one, found[0], strict=True):
            torch.testing.assert_close(mine, its)


def test_without_gradients_and_in_half_precision() -> None:
    torch.manual_seed(0)
    weight, rows = torch.randn(4, 4, requires_grad=True), torch.randn(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(late(weight)(rows), rows @ weight.T)
    with torch.autocast("cpu", torch.bfloat16):
        late(weight)(rows).float().sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, rows.sum(0).expand(4, 4), rtol=2e-2, atol=2e-2)
