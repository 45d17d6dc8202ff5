"""The answers to what one asks of a loaded run: each module is a question, and `Run` has a method for each of them."""
