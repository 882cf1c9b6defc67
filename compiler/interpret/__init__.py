"""NumPy evaluation of the three levels: what every pass must preserve."""
