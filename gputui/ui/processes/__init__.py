"""The processes on the GPUs: table, tree, filter, signals."""
