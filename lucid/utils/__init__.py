"""`torch.utils` of programs that were PyTorch's: `data`, batches of examples, and `checkpoint`."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
