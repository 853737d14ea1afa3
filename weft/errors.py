"""The one error class that users meet: every message is a single line saying what was expected and what to do."""


class WeftError(Exception):
    """Something the user can mend: a file, a key, a size. The command line prints it as one line and exits with 1."""
