"""GPUs: the metric table, samples, history, the sampler thread and its sources."""
