"""Benchmarks: ratios to a peer, measured side by side in one run. ``python -m bench --help``

The harness is `convcore.profile`, which is installed with the package; here is what only developers run.
"""
