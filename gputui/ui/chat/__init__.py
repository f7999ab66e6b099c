"""The two sides and who sits on them."""
