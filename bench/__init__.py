"""Benchmarks: ratios to a peer, measured side by side in one run. ``python -m bench --help``"""
