"""A terminal driver for Textual that sends only the cells that differ; of use to any program of it.

Nothing here knows of the rest of the program: `picture` is what the terminal shows and what it
shall show, the modules beneath it are its parts.
"""
