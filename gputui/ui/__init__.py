"""The screen: Textual, and no I/O of its own."""
