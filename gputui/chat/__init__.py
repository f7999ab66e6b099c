"""Chat: one prompt to two servers, streamed, measured alike and kept."""
