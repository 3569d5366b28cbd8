"""Classifiers as people write them in notebooks and tutorials, each in its own way; none is written for being made dense."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models


@dataclass(frozen=True)
class Written:
    """A net, the (height, width) of its images, and, where it cannot be made dense, what the refusal says."""

    build: Callable[[], nn.Module]
    size: tuple[int, int]
    refused: str = ""


class Blitz(nn.Module):
    """Beginner's tutorial on CIFAR: one pooling used twice, a flatten of all but the batch, three dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class OldBlitz(Blitz):
    """Its older form: a view with the number of features written out."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, 16 * 5 * 5)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class CountedBlitz(Blitz):
    """Older still: the features are counted in a loop over the shape."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.count(x))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    def count(self, x: Tensor) -> int:
        total = 1
        for side in x.size()[1:]:
            total *= side
        return total


class Digits(nn.Module):
    """MNIST example: dropout between, log-probabilities at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, 1), nn.Conv2d(8, 16, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(16 * 12 * 12, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = self.dropout2(F.relu(self.fc1(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=1)


class OldDigits(nn.Module):
    """Its older form: dropout as functions that are told the mode, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, kernel_size=5), nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.dropout(F.relu(self.fc1(x.view(-1, 320))), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class BatchFirst(nn.Module):
    """Keeps the number of images in a variable; a Sequential for each half; batch norm of vectors; softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Mish(), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1), nn.SELU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(12 * 6 * 6, 20), nn.BatchNorm1d(20), nn.Softplus(), nn.Dropout(0.3), nn.Linear(20, 4), nn.Softmax(dim=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        count = x.size(0)
        return self.classifier(self.features(x).view(count, -1))


class NormFirst(nn.Module):
    """Batch norm of the flattened map itself, then dense layers with Hardtanh."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.LeakyReLU(0.1), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU6())
        self.norm = nn.BatchNorm1d(8 * 4 * 4)
        self.out = nn.Sequential(nn.Linear(8 * 4 * 4, 16), nn.Hardtanh(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.body(x).reshape(x.shape[0], -1)))


class MeanOfMean(nn.Module):
    """Global pooling as two means, as old residual nets of notebooks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = x + F.relu(self.conv2(x))
        return self.fc(x.mean(3).mean(2))


class LayerNormHead(MeanOfMean):
    """Mean over a list of axes, layer norm of the vector."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return self.fc(self.norm(x.mean([2, 3])))


class FlatNormHead(nn.Module):
    """Layer norm of the whole flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(6 * 3 * 3), nn.Linear(54, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ChannelsLast(nn.Module):
    """From a framework with the channels last: they are moved before flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.fc1, self.fc2 = nn.Linear(7 * 5 * 6, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x)).permute(0, 2, 3, 1)
        return self.fc2(torch.tanh(self.fc1(x.reshape(x.shape[0], -1))))


class LargestAndMean(nn.Module):
    """Maximum and mean of the map side by side, as a popular training library does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.mp, self.ap = nn.AdaptiveMaxPool2d(1), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.25), nn.Linear(16, 6, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head(torch.cat([self.mp(x), self.ap(x)], 1))


class Scaled(MeanOfMean):
    """Features normalised to length one, logits scaled by a learned number for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(5) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.softmax(self.fc(F.normalize(x.sum((2, 3)), dim=1)) * self.scale, -1)


class TwoScales(nn.Module):
    """Maps of two depths flattened side by side, as an early net for traffic signs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 5, 3)
        self.fc = nn.Linear(4 * 7 * 7 + 5 * 5 * 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = torch.tanh(self.conv1(x))
        second = torch.tanh(self.conv2(first))
        return self.fc(torch.cat((first.flatten(1), second.flatten(1)), dim=1))


class PooledFurther(nn.Module):
    """Adaptive pooling to a grid, then convolutions and a maximum on the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool = nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d((4, 2))
        self.conv2, self.conv3 = nn.Conv2d(4, 5, 2, 2), nn.Conv2d(5, 6, 1)
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))))
        return self.fc(torch.cat([x.max(3)[0].max(2)[0], x.mean([-1, -2])], 1))


class Gem(nn.Module):
    """Generalised mean with a learned power, from competitions; pools by the map's own size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 2)
        self.p = nn.Parameter(torch.ones(1) * 3)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = F.avg_pool2d(x.clamp(min=1e-6).pow(self.p), (x.size(-2), x.size(-1))).pow(1.0 / self.p)
        return self.fc(x.squeeze(-1).squeeze(-1))


class SizedPool(nn.Module):
    """Global pooling by ``x.size()[2:]``, squeeze of all, one logit for each class from amax too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.conv2(F.elu(self.conv1(x))))
        return self.fc(F.avg_pool2d(x, x.size()[2:]).squeeze() + x.amax((2, 3)))


class Functional(nn.Module):
    """Everything by hand: parameters and functions only."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(6, 3, 3, 3) * 0.2), nn.Parameter(torch.randn(6))
        self.w2, self.b2 = nn.Parameter(torch.randn(4, 6 * 4 * 4) * 0.2), nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(F.conv2d(x, self.w1, self.b1, stride=2, padding=1)), 2)
        return F.linear(x.flatten(start_dim=1), self.w2, self.b2)


def bare_mlp() -> nn.Module:
    """Quickstart: the image is flattened at once."""
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def transfer() -> nn.Module:
    """Transfer learning: a residual net with its last layer exchanged."""
    net = models.resnet18(weights=None)
    net.fc = nn.Linear(net.fc.in_features, 2)
    return net


def frozen_transfer() -> nn.Module:
    """A frozen mobile net with a new head of two layers."""
    net = models.mobilenet_v2(weights=None)
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(net.last_channel, 16), nn.ReLU(), nn.Linear(16, 3))
    return net


def cut_resnet() -> nn.Module:
    """The children of a (short) residual net without the last two, a new head behind them."""
    body = nn.Sequential(*list(models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]).children())[:-2])
    return nn.Sequential(body, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LayerNorm(512), nn.Linear(512, 3))


def cifar_avg_pool() -> nn.Module:
    """A net for CIFAR that ends in an average pooling of the size that its map happens to have."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
        nn.AvgPool2d(8), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def all_convolutional() -> nn.Module:
    """Network in network: the classes are the channels of the last convolution, averaged."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LogSoftmax(1)
    )


def power_pool() -> nn.Module:
    """Power-average pooling, GroupNorm behind it, one logit squeezed."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.LPPool2d(2, 10), nn.Flatten(), nn.GroupNorm(2, 8), nn.Linear(8, 1), nn.Flatten(0)
    )


class TokenMean(nn.Module):
    """Positions as tokens: a dense layer and a norm for each, their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.norm, self.mix, self.head = nn.LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return self.head(F.gelu(self.mix(self.norm(tokens))).mean(dim=1))


class Attention(TokenMean):
    """Positions as tokens that look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patch(x).flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        return self.head(self.mix(tokens).mean(dim=1))


class Recurrent(nn.Module):
    """Columns of the map read one after another, as for text in pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, 2)
        self.lstm, self.fc = nn.LSTM(4 * 5, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        columns = self.conv(x).flatten(1, 2).transpose(1, 2)
        return self.fc(self.lstm(columns)[0][:, -1])


class AlongWidth(nn.Module):
    """A dense layer whose author forgot to flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv(x))).mean((1, 2))


class Skipping(nn.Module):
    """Drops a whole block by a coin of Python's while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if torch.rand(1).item() < 0.5:
            x = x + self.conv2(x)
        return self.fc(x.mean((2, 3)))


CLASSIFIERS: dict[str, Written] = {
    "blitz": Written(Blitz, (32, 32)),
    "view with numbers": Written(OldBlitz, (32, 32)),
    "view with counted features": Written(CountedBlitz, (32, 32), "CountedBlitz cannot be traced by torch.fx: its forward"),
    "mnist example": Written(Digits, (28, 28)),
    "mnist with functional dropout": Written(OldDigits, (28, 28)),
    "batch norm of vectors, softmax": Written(BatchFirst, (24, 24)),
    "batch norm of the flattened map": Written(NormFirst, (19, 19)),
    "mean of mean": Written(MeanOfMean, (20, 28)),
    "mean of axes, layer norm": Written(LayerNormHead, (20, 20)),
    "layer norm of the flattened map": Written(FlatNormHead, (14, 14)),
    "channels last": Written(ChannelsLast, (15, 11)),
    "largest and mean": Written(LargestAndMean, (17, 21)),
    "scaled cosine": Written(Scaled, (20, 20)),
    "two scales": Written(TwoScales, (15, 15)),
    "pooled to a grid": Written(PooledFurther, (17, 17)),
    "generalised mean": Written(Gem, (18, 18)),
    "pooling by the map's size": Written(SizedPool, (17, 17)),
    "functions and parameters": Written(Functional, (16, 16)),
    "flatten first": Written(bare_mlp, (28, 28)),
    "resnet18, new last layer": Written(transfer, (64, 64)),
    "frozen mobilenet, new head": Written(frozen_transfer, (64, 64)),
    "children of a resnet": Written(cut_resnet, (64, 64)),
    "average pooling by a number": Written(cifar_avg_pool, (32, 32)),
    "network in network": Written(all_convolutional, (15, 15)),
    "power pooling, one logit": Written(power_pool, (12, 12)),
    "tokens by themselves": Written(TokenMean, (16, 16)),
    "tokens with attention": Written(Attention, (16, 16), r"attention \(MultiheadAttention\) .*: attention mixes the positions"),
    "recurrent": Written(Recurrent, (11, 16), r"lstm \(LSTM\) .*: it reads positions or channels one after another"),
    "dense layer along the width": Written(AlongWidth, (8, 8), r"fc \(Linear\) .*: it runs along columns of the map"),
    "a coin in forward": Written(Skipping, (12, 12), "Skipping draws random numbers in its forward"),
}
