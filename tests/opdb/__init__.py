"""lucid beside PyTorch's own op database: see docs/pytorch.md."""
