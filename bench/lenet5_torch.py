"""LeNet-5 in PyTorch, as the peer of ours."""

import numpy as np
import torch
import torch.nn.functional as F


class LeNet5:
    """LeNet-5 with the same layers, first weights, options and order of batches as ours."""

    def __init__(self, ours, learn_rate, momentum, l2):
        self.model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
            torch.nn.Linear(400, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU(),
            torch.nn.Linear(84, 10),
        )  # fmt: skip
        with torch.no_grad():
            for theirs, parameter in zip(self.model.parameters(), ours.parameters().values(), strict=True):
                theirs.copy_(torch.from_numpy(parameter.data))
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        biases = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [{"params": weights, "weight_decay": l2}, {"params": biases, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=learn_rate, momentum=momentum, fused=True)

    @staticmethod
    def data(x, y):
        """Return images in memory as PyTorch users keep them: float32, scaled, once."""
        return torch.from_numpy(x.astype(np.float32) / 255), torch.from_numpy(y.astype(np.int64))

    def epoch(self, data, order, batch_size):
        """Train one epoch; return the mean loss."""
        x, y = data
        order, total = torch.from_numpy(order), 0.0
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            self.optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(self.model(x[batch]), y[batch])
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(batch)
        return total / len(order)

    def predict(self, x, batch_size):
        """Return the class of each image."""
        with torch.no_grad():
            return torch.cat([self.model(x[i : i + batch_size]).argmax(1) for i in range(0, len(x), batch_size)])
