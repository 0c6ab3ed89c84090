"""`python -m optimizer` is `metier`."""

from optimizer.cli.main import main

main()
