"""How the sides are asked: parameters, system prompts, presets, the order, the room that is left."""
