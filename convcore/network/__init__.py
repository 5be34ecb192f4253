"""A network: a list or a graph of layers, and what can be done with the whole."""

from convcore.network.chains import fusion, get_fusion, set_fusion
from convcore.network.network import Network, load
from convcore.network.prediction import calls_nobody

__all__ = ["Network", "calls_nobody", "fusion", "get_fusion", "load", "set_fusion"]
