"""Measuring: the bench of the convolution kernels, beside each other, beside other libraries, and under the roofline.

``convcore bench --help`` is the way in.
"""
