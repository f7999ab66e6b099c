"""What was said, on the screen: long conversations in pages, kept ones found again, answers taken out."""
