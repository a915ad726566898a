"""What a target gets of an event: paths into it, and templates that paths fill in.

The rule of this package: everything is checked when it is compiled; filling in never fails, whatever the event holds.
"""

from havre.core.event_input.paths import JsonPath, PathError
from havre.core.event_input.templates import Template, TemplateError

__all__ = ["JsonPath", "PathError", "Template", "TemplateError"]
