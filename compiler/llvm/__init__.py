"""LLVM text: what the emitters for all targets share."""
