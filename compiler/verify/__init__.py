"""Legality of the three levels."""
