"""What goes into a prompt: settings and presets, the prompt library, attachments."""
