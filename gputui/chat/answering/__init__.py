"""Between the prompt and the whole answer: the request, the wire, the clock."""
