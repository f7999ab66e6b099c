"""Reading two answers: scrolling, searching, comparing, and how one is laid out."""
