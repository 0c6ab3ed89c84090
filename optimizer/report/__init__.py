"""Files for people, written from the ledger."""
