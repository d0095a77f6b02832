"""What others subscribe to: the calendar of visits and rounds."""

from services.registry.feeds import calendar

HANDLERS = [*calendar.HANDLERS]

__all__ = ["HANDLERS"]
