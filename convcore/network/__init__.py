"""A network: a list or a graph of layers, and what can be done with the whole."""

from convcore.network.chains import fusion, get_fusion, set_fusion
from convcore.network.network import Network, load

__all__ = ["Network", "fusion", "get_fusion", "load", "set_fusion"]
