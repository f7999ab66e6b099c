"""gputui: a terminal dashboard for llama.cpp on your own GPUs."""

__version__ = "0.1.0"
