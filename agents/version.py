"""Which version of Assay this is, as its distribution says. Reads package metadata once."""

from importlib import metadata

VERSION = metadata.version("assay-lab")
