"""The answer that is being written, drawn so that a token costs its own cells and no more."""
