"""What energy costs."""

from __future__ import annotations

from dataclasses import dataclass

from gputui.text import UNKNOWN, clean_line

JOULES_PER_KWH = 3.6e6
HOURS_PER_DAY = 24
DAYS_PER_MONTH = 30.44
"""The mean month of the Gregorian calendar: 365.2425 days / 12."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a steady draw costs over an hour, a day and a month, in the currency of the price."""

    hour: float
    day: float
    month: float


def costs(watts: float | None, price_per_kwh: float | None) -> Costs | None:
    """The costs of a steady draw; None where the draw or the price is not known."""
    if watts is None or price_per_kwh is None:
        return None
    hour = watts / 1000 * price_per_kwh
    return Costs(hour, hour * HOURS_PER_DAY, hour * HOURS_PER_DAY * DAYS_PER_MONTH)


def cost(joules: float | None, price_per_kwh: float | None) -> float | None:
    """The cost of that energy; None where one of both is not known."""
    if joules is None or price_per_kwh is None:
        return None
    return joules / JOULES_PER_KWH * price_per_kwh


def money(amount: float | None, currency: str) -> str:
    """``$0.13``, ``<$0.01`` for less than half a cent that is not nothing; a dash where not known."""
    if amount is None:
        return UNKNOWN
    sign = clean_line(currency)
    return f"<{sign}0.01" if 0 < amount < 0.005 else f"{sign}{amount:.2f}"
