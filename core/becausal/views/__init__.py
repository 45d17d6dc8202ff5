"""How runs are shown: `text` for terminals, `json` for programs. Nothing is computed here."""
