"""The simulation's table of parameters is that of template.yaml."""

import re
from functools import cache
from typing import Any, Final

import pytest

from reengage.simulation.parameters import PARAMETERS, environment
from tests import template_resources

template: Final = cache(template_resources.template)
"""The template takes long to read; these tests only read it."""


def test_every_parameter_of_the_template_is_known() -> None:
    assert set(PARAMETERS) == set(template()["Parameters"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_the_templates_default(name: str) -> None:
    assert PARAMETERS[name].default == str(template()["Parameters"][name].get("Default", ""))


def test_a_parameter_has_the_variable_of_the_functions() -> None:
    """Of a Lambda function's environment, only what is a parameter's plain value counts."""
    given = dict(_variables())
    assert {name: parameter.variable for name, parameter in PARAMETERS.items() if parameter.variable} == given


def _variables() -> list[tuple[str, str]]:
    found = template()
    groups = [found["Globals"]["Function"], *(each.get("Properties", {}) for each in found["Resources"].values())]
    variables = [group.get("Environment", {}).get("Variables", {}) for group in groups]
    refs = [(value["Ref"], name) for each in variables for name, value in each.items() if _is_ref(value)]
    return [(parameter, name) for parameter, name in refs if parameter in found["Parameters"]]


def _is_ref(value: Any) -> bool:
    return isinstance(value, dict) and "Ref" in value


@pytest.mark.parametrize(("name", "hint"), [("marketingcaps", "MarketingCaps"), ("Zzz", "use one of AlarmEmail")])
def test_an_unknown_parameter_has_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        environment({name: ""})
