"""Blind mode, the vote, and what the votes come to."""
