"""Whether an instance fits into what is free."""
