"""Models behind OpenAI-compatible servers: where they are, what they are, and questions to them."""
