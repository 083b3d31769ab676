"""The check of ``doctor`` on the stack's parameters: a value that fits its pattern may still be wrong."""

from collections.abc import Iterator

from reengage.cli.inspection import Finding, Inspection
from reengage.errors import ConfigurationError
from reengage.simulation.parameters import PARAMETERS, environment


def settings(inspection: Inspection) -> Iterator[Finding]:
    """Check that the functions accept the parameters of the stack."""
    from reengage.simulation.app import SIMULATED, SimulatedSettings  # noqa: PLC0415 - 0.3 s to import

    given = {name: value for name, value in inspection.stack.parameters.items() if name in PARAMETERS}
    try:
        SimulatedSettings.from_env({**SIMULATED, **environment(given)})
    except ConfigurationError as error:
        yield Finding("problem", str(error), "Deploy with a right value: functions that use it fail at their start.")
