"""Print and parse the three levels: a file each."""
