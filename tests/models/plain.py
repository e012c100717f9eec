"""A registered network as it would be written without thought for speed: published layers, PyTorch's own classes."""

from torch import nn

from mer_models import batch_norm, layers

OF_OURS = {
    layers.Dropout: nn.Dropout,
    layers.Linear: nn.Linear,
    layers.MaxPool3: nn.MaxPool2d,
    batch_norm.BatchNorm2d: nn.BatchNorm2d,
}


def layer_by_layer(network: nn.Module) -> nn.Module:
    """The same network, changed to run by PyTorch's own classes, one layer after the other."""
    for module in network.modules():
        if hasattr(module, "fused"):
            module.fused = module.plain
        module.__class__ = OF_OURS.get(type(module), type(module))
    return network


def plain(network: nn.Module) -> nn.Module:
    """The published form of a network, made plain; `network` itself may be changed."""
    published_form = getattr(network, "published_form", None)
    return layer_by_layer(network if published_form is None else published_form())
