"""The demo: a real llama-server and two real small models, fetched on first use."""
