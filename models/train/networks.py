"""ResNet-18 as far as layer3, its narrow sister, and their weights as the product reads them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """`[n, 3, h, w]` to the maps of layer1, layer2 and layer3; torchvision's names."""

    def __init__(self, width=64, depths=(2, 2, 2), stem=7):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, stem, 2, stem // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for layer, depth in enumerate(depths):
            outputs = width << layer
            stride = 1 if layer == 0 else 2
            blocks = [Block(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1) for i in range(depth)]
            setattr(self, f"layer{layer + 1}", nn.Sequential(*blocks))
            inputs = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            maps.append(x)
        return maps


def teacher(path):
    """The network whose outputs are imitated, from torchvision's weights."""
    network = ResNet()
    wanted = network.state_dict()
    found = {name: value for name, value in load_file(path).items() if name in wanted}
    network.load_state_dict(found, strict=False)
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    if missing:
        raise SystemExit(f"{path}: no {missing[0]}")
    return network.eval().requires_grad_(False)


def folded(network):
    """`NAME.weight` and `NAME.bias` of each convolution, the batch norm after it folded in, in f64."""
    tensors = {}
    modules = dict(network.named_modules())
    for name, convolution in modules.items():
        if not isinstance(convolution, nn.Conv2d):
            continue
        norm = norm_of(modules, name)
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        tensors[f"{name}.weight"] = convolution.weight.double() * scale[:, None, None, None]
        tensors[f"{name}.bias"] = norm.bias.double() - norm.running_mean.double() * scale
    return tensors


def unfold(network, path, batches):
    """Goes on from weights that `export` wrote: the batch norms get the statistics of `batches`, and a scale and an offset
    that leave every output as it was. A smaller stem takes the middle of a larger one."""
    tensors = {name: value.float() for name, value in load_file(path).items()}
    modules = dict(network.named_modules())
    convolutions = {name: m for name, m in modules.items() if isinstance(m, nn.Conv2d)}
    for name, convolution in convolutions.items():
        kernel, size = tensors[f"{name}.weight"], convolution.kernel_size[0]
        rim = (kernel.shape[-1] - size) // 2
        convolution.weight.data.copy_(kernel[..., rim : rim + size, rim : rim + size])
        norm = norm_of(modules, name)
        norm.weight.data.fill_(math.sqrt(1 + norm.eps))
        norm.bias.data.copy_(tensors[f"{name}.bias"])
    seen = {name: [] for name in convolutions}
    hooks = [
        convolution.register_forward_hook(lambda _, __, y, name=name: seen[name].append(y.transpose(0, 1).flatten(1)))
        for name, convolution in convolutions.items()
    ]
    with torch.no_grad():
        for batch in batches:
            network.eval()(batch)
    for hook in hooks:
        hook.remove()
    for name, outputs in seen.items():
        values, norm = torch.cat(outputs, 1), norm_of(modules, name)
        norm.running_mean.copy_(values.mean(1))
        norm.running_var.copy_(values.var(1))
        norm.weight.data.copy_(torch.sqrt(norm.running_var + norm.eps))
        norm.bias.data.add_(norm.running_mean)


def norm_of(modules, name):
    """The batch norm after the convolution of that name."""
    return modules[name[:-1] + "1" if name.endswith("downsample.0") else name.replace("conv", "bn")]


def export(network, path):
    """Writes the folded weights as f16 to `path`, and checks that they are finite and of f16's range."""
    tensors = {name: value.detach().to(torch.float16).contiguous() for name, value in folded(network).items()}
    for name, value in tensors.items():
        if not np.isfinite(value.float().numpy()).all():
            raise SystemExit(f"{name}: not finite as f16")
    save_file(tensors, path)
