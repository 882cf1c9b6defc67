"""Plans on NVIDIA's GPUs, through the driver: nothing is loaded before a device is asked for."""
