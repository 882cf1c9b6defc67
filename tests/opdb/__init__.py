"""lucid beside PyTorch's own op database: see docs/opdb.md."""
