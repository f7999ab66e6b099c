"""Texts as vectors, and how near they are: for instances whose role is embedding."""
