"""The answers to what one asks of a loaded run: each module is one question, and `becausal.run.Run` has a method for it."""
