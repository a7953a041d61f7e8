"""ResNet-18 as torchvision writes it, with ReLUs in place and a forward of its own; and its layers swapped for ours."""

import torch
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import BatchNorm, GroupConv2d, LiftingConv2d, PerLevel, Readout


class BasicBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample: nn.Module | None = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    """With a width for quick tests; 64 is ResNet-18's."""

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        planes = [width * multiple for multiple in (1, 1, 2, 4, 8)]
        for i in range(1, 5):
            first = BasicBlock(planes[i - 1], planes[i], stride=1 if i == 1 else 2)
            setattr(self, f"layer{i}", nn.Sequential(first, BasicBlock(planes[i], planes[i], 1)))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x)


def resnet18(num_classes: int = 1000, width: int = 64) -> ResNet18:
    """In eval mode, with batch norms that are not the identity."""
    net = ResNet18(num_classes, width).eval()
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean, std=0.1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return net


def swap_layers(net: nn.Module, grid: Grid, num_scales: int) -> None:
    """Swaps every layer of a network for ours, with its weights, or random ones on a grid with orientations."""
    for name, old in list(net.named_children()):
        if isinstance(old, nn.Conv2d):
            sizes = old.in_channels, old.out_channels, old.kernel_size
            options = {"stride": old.stride[0], "bias": False, "grid": grid}
            lifts = old.in_channels == 3
            new = LiftingConv2d(*sizes, num_scales, **options) if lifts else GroupConv2d(*sizes, **options)
            if lifts or grid.orientations == 1:
                new.load_state_dict(old.state_dict())
        elif isinstance(old, nn.BatchNorm2d):
            new = BatchNorm(old.num_features)
            new.load_state_dict(old.state_dict())
        elif isinstance(old, nn.ReLU | nn.MaxPool2d):
            new = PerLevel(old)
        elif isinstance(old, nn.AdaptiveAvgPool2d):
            new = Readout("max")
        else:
            swap_layers(old, grid, num_scales)
            continue
        setattr(net, name, new.train(net.training))
