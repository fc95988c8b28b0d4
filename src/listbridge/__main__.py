"""``python -m listbridge``: the same as the command ``listbridge``."""

from listbridge.cli.main import command_line

if __name__ == "__main__":
    command_line()
