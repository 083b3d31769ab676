"""Leave only the parameters of a first deployment in a built template.

    python functions/first_deployment.py .aws-sam/build/template.yaml

`sam deploy --guided` asks for each parameter of a template, and has no option to leave one out. This program puts the
default of each other parameter in its place. The resources keep their names: after the next `sam build`, `sam deploy`
updates the same stack with all parameters.

Use it for a new stack only: it resets the other parameters of an existing one.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ASKED: Final = (
    "DefaultTimezone",
    "DefaultLocale",
    "Routes",
    "SmsConfigurationSet",
    "WhatsAppTemplates",
    "AlarmEmail",
    "MarketingConsent",
)
"""The parameters that a first deployment may need, in the order of the questions."""

INTERFACE: Final = "AWS::CloudFormation::Interface"

_IN_TEXT: Final = r"\$\{(\w+)\}"


def of_first_deployment(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``template`` with the parameters ``ASKED`` only, and the defaults of the others where it names them.

    ``template``: CloudFormation's functions in their long form, as `sam build` writes them. A rule that reads only the
    other parameters is left out: their defaults pass it.
    """
    parameters = template["Parameters"]
    defaults = {name: parameter["Default"] for name, parameter in parameters.items() if name not in ASKED}
    reduced = {section: _with_defaults(content, defaults) for section, content in template.items()}
    reduced["Parameters"] = {name: parameters[name] for name in ASKED}
    del reduced["Metadata"][INTERFACE]  # the page of the console groups all parameters
    for name, rule in template["Rules"].items():
        if not any(asked in repr(rule) for asked in ASKED):
            del reduced["Rules"][name]
    if not reduced["Rules"]:
        del reduced["Rules"]  # CloudFormation wants at least one in the section
    return reduced


def _with_defaults(value: Any, defaults: Mapping[str, Any]) -> Any:
    match value:
        case {"Ref": str(name)} if name in defaults:
            return defaults[name]
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": _text_with_defaults(text, defaults)}
        case {"Fn::Sub": [str(text), dict(own)]}:
            others = {name: default for name, default in defaults.items() if name not in own}
            return {"Fn::Sub": [_text_with_defaults(text, others), _with_defaults(own, defaults)]}
        case dict():
            return {key: _with_defaults(each, defaults) for key, each in value.items()}
        case list():
            return [_with_defaults(each, defaults) for each in value]
        case _:
            return value


def _text_with_defaults(text: str, defaults: Mapping[str, Any]) -> str:
    return re.sub(_IN_TEXT, lambda name: str(defaults.get(name[1], name[0])), text)


def main(path: Path) -> None:
    """Rewrite the file at ``path``."""
    reduced = of_first_deployment(yaml.safe_load(path.read_text(encoding="utf-8")))
    path.write_text(yaml.safe_dump(reduced, sort_keys=False, allow_unicode=True), encoding="utf-8")


def template_path(arguments: Sequence[str]) -> Path:
    """Return the file that the command line names. Raises ``SystemExit`` with what to run if it is missing."""
    parser = argparse.ArgumentParser(description="Leave only the parameters of a first deployment in a built template.")
    parser.add_argument("template", type=Path, help="such as .aws-sam/build/template.yaml")
    path: Path = parser.parse_args(arguments).template
    if not path.is_file():
        parser.error(f"{path}: no such file. Run `sam build` first.")
    return path


if __name__ == "__main__":
    main(template_path(sys.argv[1:]))
