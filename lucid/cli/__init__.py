"""`python -m lucid COMMAND`, the script `lucid`: the commands, a line a command in `table.py`."""
