"""Model files: what a GGUF header says, which files belong together, the memory that is needed."""
