"""MLflow, written from the ledger."""
