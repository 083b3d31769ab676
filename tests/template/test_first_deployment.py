"""`make first-deployment`: SAM asks few questions, and the stack is the one of the whole template."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from functions.first_deployment import ASKED, main, of_first_deployment, template_path
from tests.template.test_webhook_url import evaluated
from tests.template_resources import parameter_defaults, template

ROOT: Final = Path(__file__).parents[2]


def names_in(value: Any) -> Iterator[str]:
    """Yield each name that a `Ref` or a `Fn::Sub` reads."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::Sub": text}:
            yield from re.findall(r"\$\{(\w+)\}", str(text))
        case dict():
            for each in value.values():
                yield from names_in(each)
        case list():
            for each in value:
                yield from names_in(each)
        case _:
            pass


def test_at_most_eight_parameters_are_left() -> None:
    assert tuple(of_first_deployment(template())["Parameters"]) == ASKED
    assert len(ASKED) <= 8


def test_no_removed_parameter_is_read() -> None:
    removed = template()["Parameters"].keys() - set(ASKED)
    assert removed & set(names_in(template()))
    assert not removed & set(names_in(of_first_deployment(template())))


def test_resources_and_outputs_keep_their_names() -> None:
    whole, reduced = template(), of_first_deployment(template())
    for section in ("Resources", "Outputs", "Conditions"):
        assert reduced[section].keys() == whole[section].keys()
    assert [each["Type"] for each in reduced["Resources"].values()] == [r["Type"] for r in whole["Resources"].values()]


@pytest.mark.parametrize("name", template()["Conditions"])
def test_conditions_hold_as_by_the_defaults(name: str) -> None:
    reduced = of_first_deployment(template())["Conditions"][name]
    assert evaluated(reduced, parameter_defaults()) == evaluated({"Condition": name}, parameter_defaults())


def test_a_name_of_the_text_itself_is_kept() -> None:
    text = {"Fn::Sub": ["${Tracing} of ${AWS::Region} by ${KeepTexts}", {"Tracing": {"Ref": "KeepTexts"}}]}
    reduced = of_first_deployment(template() | {"Outputs": {"Own": {"Value": text}}})
    assert reduced["Outputs"]["Own"]["Value"] == {
        "Fn::Sub": ["${Tracing} of ${AWS::Region} by true", {"Tracing": "true"}]
    }


@pytest.mark.slow
def test_guided_deployment_asks_for_no_other_parameter(tmp_path: Path) -> None:
    """SAM's own questions, with Enter at each; then it ends, for nothing was built."""
    built = tmp_path / "template.yaml"
    built.write_text(yaml.safe_dump(template(), sort_keys=False), encoding="utf-8")
    main(built)
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "SAM_CLI_TELEMETRY": "0",
    }
    sam = ROOT / ".tools" / "sam" / "bin" / "sam"
    assert sam.exists(), "run `make setup`"
    done = subprocess.run(  # noqa: S603 - our own program
        [sam, "deploy", "--guided", "--template-file", built],
        cwd=tmp_path,
        env=environment,
        input="\n" * 50,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    asked = re.findall(r"Parameter (\w+)", done.stdout)
    assert tuple(asked) == ASKED, done.stdout + done.stderr


def test_a_missing_template_names_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        template_path([str(tmp_path / "template.yaml")])
    assert capsys.readouterr().err.endswith("template.yaml: no such file. Run `sam build` first.\n")
