"""What two answers have in common, and what they have not."""
