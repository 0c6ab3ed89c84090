"""The room that wires the others: one session, stages that return values, and what each command does."""
