"""From graph to kernels to a plan; passes know the levels, and not each other."""
