"""Decide whether a buoy has torn loose, from its last positions."""

from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_000
ALARM_DISTANCE_M = 60
"""A mooring line lets a buoy swing up to 45 m around its anchor."""


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance of two positions (latitude, longitude) along a great circle."""
    lat_a, lon_a, lat_b, lon_b = map(radians, (*a, *b))
    half = sin((lat_b - lat_a) / 2) ** 2
    half += cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(sqrt(half))


def is_adrift(anchor: tuple[float, float], positions: list[tuple[float, float]]) -> bool:
    """Say whether the last three positions are all too far from the anchor.

    One position alone can be a satellite error, so a single jump raises no alarm.
    """
    last = positions[-3:]
    return len(last) == 3 and all(distance_m(anchor, p) > ALARM_DISTANCE_M for p in last)
