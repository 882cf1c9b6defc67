"""From kernels to loops to LLVM text, for CPUs."""
