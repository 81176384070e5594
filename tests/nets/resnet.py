"""A residual net of 18 layers, written as its user would: it knows of nothing here."""

from torch import nn


class Block(nn.Module):
    """A residual block as in torchvision, with one ReLU for both places."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, X):
        shortcut = X if self.downsample is None else self.downsample(X)
        X = self.relu(self.bn1(self.conv1(X)))
        return self.relu(self.bn2(self.conv2(X)).add_(shortcut))


class ResNet18(nn.Module):
    """18 layers, four stages, and narrow, so that tests are fast."""

    def __init__(self, n_classes=3, width=4, imagenet_stem=False):
        super().__init__()
        self.conv1 = (
            nn.Conv2d(3, width, 7, 2, 3, bias=False) if imagenet_stem else nn.Conv2d(3, width, 3, 1, 1)
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet_stem else nn.Identity()
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage in range(1, 5):
            first = Block(widths[stage - 1], widths[stage], 1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, Block(widths[stage], widths[stage], 1)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, n_classes)

    def forward(self, X):
        X = self.maxpool(self.relu(self.bn1(self.conv1(X))))
        X = self.layer4(self.layer3(self.layer2(self.layer1(X))))
        return self.fc(self.avgpool(X).flatten(1))
