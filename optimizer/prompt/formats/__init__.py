"""How a prompt is laid out in messages: DSPy adapters."""
