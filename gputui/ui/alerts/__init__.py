"""What fires: the line, the marks, the list of events."""
