"""What the GPUs draw, what that costs and brings, and the limits they are held to."""
