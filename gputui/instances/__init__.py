"""Instances: llama-servers as configured, as processes, as records on disk, as probed."""
