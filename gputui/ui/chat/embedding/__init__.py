"""Texts compared by an embedding model."""
