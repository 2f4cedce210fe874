"""The papers' formulas in NumPy loops, written from the equations."""

from __future__ import annotations

import numpy as np


def convolution(x, weight, bias, dilation, causal):
    """``x [L, k]``, ``weight [taps, k, k]``: one output position at a time."""
    taps, length = len(weight), len(x)
    reach = (taps - 1) * dilation
    left = reach if causal else reach // 2
    out = np.zeros((length, weight.shape[2]))
    for t in range(length):
        out[t] = bias
        for tap in range(taps):
            source = t - left + tap * dilation
            if 0 <= source < length:
                out[t] += x[source] @ weight[tap]
    return out


def layer_norm(x, gain, bias, eps=1e-8):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * gain + bias


def relu(x):
    return np.maximum(x, 0)


def patch(x, module):
    """Eq. 10 with the weights of a ModelPatch."""
    down, up = module.down, module.up
    hidden = relu(x @ array(down.weight).T + array(down.bias))
    return x + hidden @ array(up.weight).T + array(up.bias)


def array(tensor):
    return tensor.detach().double().numpy()
