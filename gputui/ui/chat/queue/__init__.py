"""More than two models asked: a queue of sides, two of them shown."""
