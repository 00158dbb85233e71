"""Bringing the product to machines; today the demonstration lab that ``make run`` starts."""
