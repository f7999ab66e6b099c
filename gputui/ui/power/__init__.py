"""Power and cost, and setting a limit."""
