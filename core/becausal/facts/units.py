"""What units are worth, exactly, by their id in CLDR. Names come from the language, worth from here.

Two units of one dimension can be compared; a month has no fixed number of days and so is of another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

__all__ = ["DURATIONS", "UNITS", "Unit"]


@dataclass(frozen=True, slots=True)
class Unit:
    """How many of its dimension's base unit one of it is."""

    dimension: str
    factor: Decimal
    divisor: Decimal = Decimal(1)
    """Where the factor is no decimal fraction: a degree Fahrenheit is 5/9 of a kelvin."""
    offset: Decimal = Decimal(0)
    """Added to the number before it is multiplied."""


DURATIONS: Final = frozenset(["time", "calendar", "workdays"])
"""The dimensions that are times: seconds, months, and days on which people work."""

_TABLE: Final[dict[str, dict[str, str]]] = {
    "time": {
        "duration-nanosecond": "1e-9", "duration-microsecond": "1e-6", "duration-millisecond": "1e-3",
        "duration-second": "1", "duration-minute": "60", "duration-hour": "3600", "duration-day": "86400",
        "duration-week": "604800",
    },
    "calendar": {
        "duration-month": "1", "duration-quarter": "3", "duration-year": "12", "duration-decade": "120",
        "duration-century": "1200",
    },
    "workdays": {"workday": "1"},
    "length": {
        "length-nanometer": "1e-9", "length-micrometer": "1e-6", "length-millimeter": "1e-3",
        "length-centimeter": "0.01", "length-meter": "1", "length-kilometer": "1000", "length-inch": "0.0254",
        "length-foot": "0.3048", "length-yard": "0.9144", "length-mile": "1609.344", "length-nautical-mile": "1852",
    },
    "mass": {
        "mass-microgram": "1e-9", "mass-milligram": "1e-6", "mass-gram": "0.001", "mass-kilogram": "1",
        "mass-tonne": "1000", "mass-ounce": "0.028349523125", "mass-pound": "0.45359237", "mass-stone": "6.35029318",
    },
    "volume": {
        "volume-milliliter": "0.001", "volume-centiliter": "0.01", "volume-deciliter": "0.1", "volume-liter": "1",
        "volume-cubic-centimeter": "0.001", "volume-cubic-meter": "1000", "volume-gallon": "3.785411784",
        "volume-barrel": "158.987294928",
    },
    "area": {
        "area-square-centimeter": "0.0001", "area-square-meter": "1", "area-square-kilometer": "1000000",
        "area-square-foot": "0.09290304", "area-square-mile": "2589988.110336", "area-hectare": "10000",
        "area-acre": "4046.8564224",
    },
    "data": {
        "digital-bit": "0.125", "digital-kilobit": "125", "digital-megabit": "125e3", "digital-gigabit": "125e6",
        "digital-terabit": "125e9", "digital-byte": "1", "digital-kilobyte": "1e3", "digital-megabyte": "1e6",
        "digital-gigabyte": "1e9", "digital-terabyte": "1e12", "digital-petabyte": "1e15",
        "kib": "1024", "mib": "1048576", "gib": "1073741824", "tib": "1099511627776",
    },
    "speed": {
        "speed-meter-per-second": "3.6", "speed-kilometer-per-hour": "1", "speed-mile-per-hour": "1.609344",
        "speed-knot": "1.852",
    },
    "power": {
        "power-milliwatt": "0.001", "power-watt": "1", "power-kilowatt": "1e3", "power-megawatt": "1e6",
        "power-gigawatt": "1e9",
    },
    "energy": {
        "energy-joule": "1", "energy-kilojoule": "1e3", "energy-kilowatt-hour": "3.6e6", "energy-foodcalorie": "4184",
        "energy-kilocalorie": "4184",
    },
    "frequency": {
        "frequency-hertz": "1", "frequency-kilohertz": "1e3", "frequency-megahertz": "1e6",
        "frequency-gigahertz": "1e9",
    },
    "voltage": {"electric-volt": "1"},
    "current": {"electric-ampere": "1", "electric-milliampere": "0.001"},
    "pressure": {
        "pressure-pascal": "1", "pressure-hectopascal": "100", "pressure-bar": "1e5", "pressure-millibar": "100",
    },
    "temperature": {"temperature-kelvin": "1"},
}  # fmt: skip

UNITS: Final[dict[str, Unit]] = {
    name: Unit(dimension, Decimal(factor))
    for dimension, row in _TABLE.items()
    for name, factor in row.items()
} | {
    "temperature-celsius": Unit("temperature", Decimal(1), offset=Decimal("273.15")),
    "temperature-fahrenheit": Unit("temperature", Decimal(5), Decimal(9), Decimal("459.67")),
}
"""Every unit that is known. CLDR's binary prefixes have no names in its locales, so `kib` and such are named here."""
