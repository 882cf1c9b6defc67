"""The compiler: graph to kernels to loops to LLVM text. Pure functions of data."""
