"""What other people's backends make of becausal's spans: two that run here, and the tables of those that do not."""
