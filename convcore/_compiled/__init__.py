"""The compiled kernels, one module per kernel and instruction-set level, named ``<stem>__<level>``."""
