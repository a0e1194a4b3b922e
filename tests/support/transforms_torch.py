"""The transforms of PyTorch, for transforms.py: each takes a Given and returns arrays."""

import keras
import torch
import torch.autograd.forward_ad as forward_ad
import torch.utils.checkpoint
from torch import func
from transforms import statistics


def _output(it, x, layer=None):
    return (layer or it.layer)(x @ it.kernel, **it.call)


def _loss(it, x, layer=None):
    return (torch.sin(_output(it, x, layer)) * it.u).sum()


def _stateless(it, x):
    """The output as a function without side effects."""
    weights = [v.value for v in it.layer.trainable_variables]
    state = [v.value for v in it.layer.non_trainable_variables]
    return it.layer.stateless_call(weights, state, x @ it.kernel, **it.call)[0]


def _stateless_loss(it, x):
    return (torch.sin(_stateless(it, x)) * it.u).sum()


def statistics_if_trained(it, layer=None):
    return statistics(layer or it.layer) if it.subject.training else []


def _by_x(it, loss_of):
    x = it.x.clone().requires_grad_()
    loss_of(x).backward()
    return x.grad


def autograd(it):
    return [_by_x(it, lambda x: _loss(it, x)), *statistics_if_trained(it)]


def func_grad(it):
    """PyTorch lets no function that torch.func transforms change a weight, so the new ones are returned."""

    def loss(x):
        weights, state = (
            [v.value for v in vs] for vs in (it.layer.trainable_variables, it.layer.non_trainable_variables)
        )
        y, state = it.layer.stateless_call(weights, state, x @ it.kernel, **it.call)
        return (torch.sin(y) * it.u).sum(), state

    dx, state = func.grad(loss, has_aux=True)(it.x)
    return [dx, *(state if it.subject.training else [])]


def vmap_of_grad(it):
    state = [v.value for v in it.layer.non_trainable_variables]
    mask = it.call.get("mask")

    def loss(x, weights, u, mask):
        call = it.call if mask is None else {**it.call, "mask": mask[None]}
        y = it.layer.stateless_call(weights, state, x[None] @ it.kernel, **call)[0]
        return (torch.sin(y) * u[None]).sum()

    weights = [v.value for v in it.layer.trainable_variables]
    of_each = func.vmap(func.grad(loss, (0, 1)), (0, None, 0, None if mask is None else 0))
    dx, (dgamma, _) = of_each(it.x, weights, it.u, mask)
    return [dx, dgamma]


def jvp(it):
    return [func.jvp(lambda x: _stateless(it, x), (it.x,), (it.direction,))[1]]


def dual_numbers(it):
    with torch.no_grad(), forward_ad.dual_level():
        y = _stateless(it, forward_ad.make_dual(it.x, it.direction))
        return [forward_ad.unpack_dual(y).tangent]


def forward_over_reverse(it):
    return [func.jvp(func.grad(lambda x: _stateless_loss(it, x)), (it.x,), (it.direction,))[1]]


def reverse_over_reverse(it):
    x = it.x.clone().requires_grad_()
    (first,) = torch.autograd.grad(_loss(it, x), x, create_graph=True)
    return torch.autograd.grad((first * it.direction).sum(), x)


def hvp(it):
    return [torch.autograd.functional.hvp(lambda x: _loss(it, x), it.x, it.direction)[1]]


def jacobian(it):
    return [torch.tensordot(torch.autograd.functional.jacobian(lambda x: _output(it, x), it.x), it.direction, 4)]


def jacobian_of_batched_gradients(it):
    """One backward pass for all outputs."""
    found = torch.autograd.functional.jacobian(lambda x: _output(it, x), it.x, vectorize=True)
    return [torch.tensordot(found, it.direction, 4)]


def jacobian_of(transform):
    return lambda it: [torch.tensordot(transform(lambda x: _stateless(it, x))(it.x), it.direction, 4)]


def checkpoint(reentrant):
    def run(it):
        def loss(x):
            y = torch.utils.checkpoint.checkpoint(lambda x: _output(it, x), x, use_reentrant=reentrant)
            return (torch.sin(y) * it.u).sum()

        return [_by_x(it, loss), *statistics_if_trained(it)]

    return run


def remat_scope(it):
    with keras.RematScope(mode="full"):
        layer = type(it.layer).from_config(it.layer.get_config())
        layer.build(it.x.shape)
    layer.set_weights(it.layer.get_weights())
    return [_by_x(it, lambda x: _loss(it, x, layer)), *statistics_if_trained(it, layer)]


def compiled(backend):
    def run(it):
        torch._dynamo.reset()
        function = torch.compile(lambda x: _output(it, x), backend=backend)
        return [_by_x(it, lambda x: (torch.sin(function(x)) * it.u).sum()), *statistics_if_trained(it)]

    return run


def data_parallel(it):
    layer = torch.nn.DataParallel(it.layer)
    return [_by_x(it, lambda x: _loss(it, x, layer)), *statistics_if_trained(it)]


TRANSFORMS = {
    "autograd": ("gradient", autograd),
    "torch.func.grad": ("gradient", func_grad),
    "torch.func.vmap of grad": ("per sample", vmap_of_grad),
    "torch.func.jvp": ("tangent", jvp),
    "forward_ad dual numbers": ("tangent", dual_numbers),
    "forward over reverse": ("hessian", forward_over_reverse),
    "reverse over reverse": ("hessian", reverse_over_reverse),
    "autograd.functional.hvp": ("hessian", hvp),
    "autograd.functional.jacobian": ("tangent", jacobian),
    "autograd.functional.jacobian, vectorize": ("tangent", jacobian_of_batched_gradients),
    "torch.func.jacrev": ("tangent", jacobian_of(func.jacrev)),
    "torch.func.jacfwd": ("tangent", jacobian_of(func.jacfwd)),
    "torch checkpoint": ("gradient", checkpoint(False)),
    "torch checkpoint, reentrant": ("gradient", checkpoint(True)),
    "keras.RematScope": ("gradient", remat_scope),
    "torch.compile, aot_eager": ("gradient", compiled("aot_eager")),
    "DataParallel": ("gradient", data_parallel),
}
