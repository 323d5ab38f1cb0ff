"""Years of a site in time-lapse: both hosts as processes, all servers real, faults again and again (docs/soak.md)."""
