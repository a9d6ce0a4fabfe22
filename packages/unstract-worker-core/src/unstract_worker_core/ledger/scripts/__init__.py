"""The ledger's Lua steps, one file each. Every one is safe to run twice and uses Redis's own clock."""
