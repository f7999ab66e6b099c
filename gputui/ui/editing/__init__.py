"""Changing the configuration on the screen: the form of an instance."""
