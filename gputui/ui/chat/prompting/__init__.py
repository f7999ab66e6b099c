"""The prompt's parts: commands typed and completed, attachments, history, library, the user's editor."""
