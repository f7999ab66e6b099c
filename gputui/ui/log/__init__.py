"""The log of an instance, of any size."""
