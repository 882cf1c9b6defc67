"""What runs on the machine: memory, threads, loading of code, the disk cache, the call path."""
