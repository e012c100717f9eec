"""A registered network as it would be written without thought for speed: published layers, PyTorch's own classes."""

from torch import nn

from mer_models import layers

OF_OURS = {layers.Dropout: nn.Dropout, layers.Linear: nn.Linear, layers.MaxPool3: nn.MaxPool2d}


def plain(network: nn.Module) -> nn.Module:
    """The same network, with its parameters, made plain; `network` itself may be changed."""
    published_form = getattr(network, "published_form", None)
    if published_form is not None:
        network = published_form()
    for module in network.modules():
        if hasattr(module, "fused"):
            module.fused = module.plain
        module.__class__ = OF_OURS.get(type(module), type(module))
    return network
