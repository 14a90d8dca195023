"""The version, written down here alone; the package's metadata are made from it."""

VERSION = "0.1.0"
