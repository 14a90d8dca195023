"""Every error this project raises on purpose.

MatchError
├── AudioError      samples that cannot be what they claim: shape, rate, NaN
├── SettingsError   a setting out of its bounds, unknown, or of the wrong kind
├── FileError       a file that cannot be read or written as asked
├── PlanError       a plan that cannot be used: other version, other file, bad JSON
├── PresetError     a preset that cannot be read or joined: other version, bad JSON, other first estimate
└── UnfitError      sound that there is nothing to match in: silence, too short, no mid

The message names the file or field, the value, and what was allowed, on one line.
"""


def printable(text: str) -> str:
    """`text` on one line: line breaks, control characters and undecodable bytes are written as escapes."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class MatchError(Exception):
    """Root of all deliberate errors; its text is one line meant for a person, whatever a file was called or held."""

    def __str__(self) -> str:
        return printable(super().__str__())


class AudioError(MatchError, ValueError):
    """Samples, a rate or a layout that no sound can have."""


class SettingsError(MatchError, ValueError):
    """A setting that is unknown, out of bounds or of the wrong kind."""


class FileError(MatchError, OSError):
    """A file that cannot be read or written as asked."""


class PlanError(MatchError, ValueError):
    """A plan that cannot be used here."""


class PresetError(MatchError, ValueError):
    """A preset that cannot be used here."""


class UnfitError(MatchError, ValueError):
    """Sound in which there is nothing to match."""
