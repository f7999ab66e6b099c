"""The log that a server writes: bounded on disk, read at any size."""
