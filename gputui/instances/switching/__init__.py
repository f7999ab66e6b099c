"""Making room: groups, layouts, and waiting for GPU memory."""
