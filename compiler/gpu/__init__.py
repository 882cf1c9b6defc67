"""From loops to PTX text for NVIDIA GPUs, and a simulator that runs it."""
