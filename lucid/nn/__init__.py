"""Modules, parameters, layers and losses."""

from __future__ import annotations

from . import functional
from .layers import GELU, LayerNorm, Linear, ReLU, Sequential, Sigmoid, Softmax, Tanh
from .losses import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from .module import Module, Parameter

__all__ = [
    "GELU",
    "HuberLoss",
    "L1Loss",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Tanh",
    "functional",
]
