"""How a server is started: its process, its CPUs, a scope that outlives a login."""
