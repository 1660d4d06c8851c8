"""Every call meets every fault: what the caller gets, what it costs, and what is left behind."""
