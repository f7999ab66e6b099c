"""llama-server as a program: its binary, its command line, its answers, its log."""
