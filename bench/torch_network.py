"""One of our networks in PyTorch, as its peer: the same layers, first weights, options and batches."""

import collections
import functools

import numpy as np
import torch
import torch.nn.functional as F

from convcore import Tensor, layers


class TorchNetwork:
    """A network of usual layers.

    Parameters
    ----------
    ours : Network
        Initialized, normalization fitted.
    learn_rate, momentum, l2 : float
        Of SGD, fused; L2 regularization of weights, not of biases, scales and offsets.
    """

    def __init__(self, ours, learn_rate, momentum, l2):
        self.image_input = ours.layers[0]
        self.model = _Graph(ours)
        learned = [p for layer in ours.layers for p in layer.learnables.values()]
        with torch.no_grad():
            for theirs, parameter in zip(self.model.parameters(), learned, strict=True):
                theirs.copy_(torch.from_numpy(parameter.data))
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [{"params": decayed, "weight_decay": l2}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=learn_rate, momentum=momentum, fused=True)

    def data(self, x, y):
        """Return images in memory as PyTorch users keep them: float32, normalized, once."""
        return self.images(x), torch.from_numpy(y.astype(np.int64))

    def images(self, x):
        """Return normalized images."""
        return torch.from_numpy(self.image_input.apply(Tensor(x.astype(np.float32)), False, None).data)

    def epoch(self, data, order, batch_size, rates=None):
        """Train one epoch, at the rate of each iteration if there are such."""
        x, y = data
        self.model.train()
        order = torch.from_numpy(order)
        for number, start in enumerate(range(0, len(order), batch_size)):
            batch = order[start : start + batch_size]
            for group in self.optimizer.param_groups if rates else ():
                group["lr"] = rates[number]
            self.optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(self.model(x[batch]), y[batch])
            loss.backward()
            self.optimizer.step()
            loss.item()

    def predict(self, x, batch_size):
        """Return the probabilities of the classes of each image."""
        self.model.eval()
        with torch.inference_mode():
            return torch.cat([self.model(x[i : i + batch_size]).softmax(1) for i in range(0, len(x), batch_size)])

    def accuracy(self, x, y, batch_size=256):
        """Return the share of images whose largest probability is that of their class."""
        return float((self.predict(x, batch_size).argmax(1) == y).float().mean())


class _Graph(torch.nn.Module):
    """The layers of a network behind its input, in the order of execution, each with those that it takes from."""

    def __init__(self, ours):
        super().__init__()
        self.parts = torch.nn.ModuleList(torch.nn.Sequential(*_modules(layer)) for layer in ours.layers[1:])
        sources = {}
        for source, target in ours.connections:
            sources.setdefault(target.partition("/")[0], []).append(source)
        self.first, *names = [layer.name for layer in ours.layers]
        self.steps = [(name, sources[name], _join(layer)) for name, layer in zip(names, ours.layers[1:], strict=True)]
        self.takers = collections.Counter(source for source, _ in ours.connections)

    def forward(self, x):
        """Return the logits."""
        values, left = {self.first: x}, self.takers.copy()
        for part, (name, sources, join) in zip(self.parts, self.steps, strict=True):
            inputs = [values[source] for source in sources]
            for source in sources:  # what nobody takes any more is let go
                left[source] -= 1
                if not left[source]:
                    del values[source]
            values[name] = part(join(inputs) if join else inputs[0])
        return values[name]


def _join(layer):
    """Return what makes one tensor of the several that a layer takes; None for a layer that takes one."""
    if isinstance(layer, layers.Addition):
        return lambda tensors: functools.reduce(torch.add, tensors)
    if isinstance(layer, layers.Concatenation):
        return lambda tensors: torch.cat(tensors, layer.axis)
    return None


def _modules(layer):
    """Return what computes the same as a layer of ours."""
    nn = torch.nn
    if isinstance(layer, layers.Conv2D):
        filters, channels, *size = layer.weights.shape
        padding = layer.padding if isinstance(layer.padding, (int, str)) else layer.padding[::2]  # top and left
        return [nn.Conv2d(channels, filters, size, layer.stride, padding, layer.dilation_factor)]
    if isinstance(layer, layers.BatchNorm):
        return [nn.BatchNorm2d(len(layer.scale.data), layer.epsilon, layer.mean_decay)]
    simple = {layers.ReLU: nn.ReLU, layers.Tanh: nn.Tanh, layers.ELU: nn.ELU}
    if type(layer) in simple:
        return [simple[type(layer)]()]
    if isinstance(layer, layers.LeakyReLU):
        return [nn.LeakyReLU(layer.scale)]
    if isinstance(layer, layers.Dropout):
        return [nn.Dropout(layer.probability)]
    if isinstance(layer, layers.GlobalAvgPool):
        return [nn.AdaptiveAvgPool2d(1)]
    if isinstance(layer, (layers.MaxPool2D, layers.AvgPool2D)):
        kind = nn.MaxPool2d if isinstance(layer, layers.MaxPool2D) else nn.AvgPool2d
        return [kind(layer.pool_size, layer.stride)]
    if isinstance(layer, layers.FullyConnected):
        outputs, inputs = layer.weights.shape
        return [nn.Flatten(), nn.Linear(inputs, outputs)]
    if isinstance(layer, (layers.Softmax, layers.ClassificationOutput, layers.Addition, layers.Concatenation)):
        return []
    raise ValueError(f"bench: no PyTorch module for {type(layer).__name__}")
