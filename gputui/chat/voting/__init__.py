"""Which answer was better: blind draws, votes, ratings."""
