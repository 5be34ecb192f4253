"""``python -m convcore``: the command line."""

from convcore.cli import main

if __name__ == "__main__":
    main()
