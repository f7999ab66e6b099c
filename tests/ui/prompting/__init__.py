"""The prompt and what stands on it."""
