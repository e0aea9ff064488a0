"""Which sensors a code location has now: what is left of others is theirs no more."""

from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True, slots=True)
class LoadedSensors:
    """The sensors that a repository has now."""

    location: str | None
    """Name of its code location; None where it is not known, as in tests."""
    names: frozenset[str] = frozenset()

    @classmethod
    def of_tick(cls, context: dg.SensorEvaluationContext) -> "LoadedSensors":
        """Return those beside which a sensor is evaluated."""
        own, origin = context.repository_def, context.code_location_origin
        return cls(
            None if origin is None else origin.location_name,
            frozenset(() if own is None else (sensor.name for sensor in own.sensor_defs)),
        )
