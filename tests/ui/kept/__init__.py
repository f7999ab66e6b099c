"""Kept conversations on the screen."""
