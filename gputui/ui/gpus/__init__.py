"""The GPUs: their panels, and the details of one with its charts."""
