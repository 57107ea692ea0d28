"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum

from cmw.errors import AuthenticationError, CapacityError, CmwError, CommandError, SettingsError


class ExitCode(IntEnum):
    """What a shell or a CI job sees. 70 to 78 are the ones of sysexits.h."""

    PASSED = 0
    CALLS_FAILED = 1
    """Some calls failed and no threshold was given."""
    USAGE = 2
    INTERNAL_ERROR = 70
    UNAVAILABLE = 75
    """The gateway is away, or there is no capacity."""
    REFUSED = 77
    """Authentication was refused."""
    CONFIGURATION = 78
    """A setting or a plan is wrong."""
    INVALID = 97
    """The generator was the limit: the run proves nothing."""
    THRESHOLD_FAILED = 99
    INTERRUPTED = 130
    TERMINATED = 143


def exit_code_of(error: Exception) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    match error:
        case SettingsError():
            return ExitCode.CONFIGURATION
        case AuthenticationError():
            return ExitCode.REFUSED
        case CapacityError() | ConnectionError() | TimeoutError():
            return ExitCode.UNAVAILABLE
        case CommandError():
            return ExitCode.UNAVAILABLE if error.code == "NO_CAPACITY" else ExitCode.USAGE
        case _:
            return ExitCode.INTERNAL_ERROR


def is_expected(error: Exception) -> bool:
    """Tell whether the message alone is enough, because we raised it to be read."""
    return isinstance(error, CmwError | ConnectionError | TimeoutError)
