"""A network: a list or a graph of layers, and what can be done with the whole."""

from convcore.network.network import Network, load

__all__ = ["Network", "load"]
