"""The programs of functions/DEPLOY.md for CDK and Terraform: what they deploy is the app, with its own names."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.documents import ROOT, document
from tests.template_resources import template

PACKAGED: Final = "Resources: {}\n"
CDK: Final = ROOT / ".tools" / "cdk" / "bin" / "python"


@pytest.fixture
def cdk() -> str:
    if not shutil.which("node") or not CDK.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail("Node.js or CDK is missing, and under CI=true it must not be: make setup")
        pytest.skip("Node.js or CDK is missing: make setup")
    return str(CDK)


@pytest.mark.slow
def test_cdk_program_makes_a_stack_of_the_packaged_template(cdk: str, tmp_path: Path) -> None:
    (program,) = document("functions/DEPLOY.md").blocks("python")
    (tmp_path / "packaged.yaml").write_text(PACKAGED, encoding="utf-8")
    quiet = {f"JSII_SILENCE_WARNING_{kind}_NODE_VERSION": "1" for kind in ("END_OF_LIFE", "UNTESTED", "DEPRECATED")}
    environment = os.environ | quiet | {"CDK_OUTDIR": str(tmp_path / "out")}
    subprocess.run([cdk, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=180)  # noqa: S603 - our own document

    made: dict[str, Any] = json.loads((tmp_path / "out" / "reengage.template.json").read_text(encoding="utf-8"))
    stack = made["Resources"]["Reengage"]
    assert stack["Type"] == "AWS::CloudFormation::Stack"
    assert stack["Properties"]["Parameters"].keys() <= template()["Parameters"].keys()
    (asset,) = (tmp_path / "out").glob("asset.*.yaml")
    assert asset.read_text(encoding="utf-8") == PACKAGED
    assert asset.name.removeprefix("asset.") in stack["Properties"]["TemplateURL"]["Fn::Sub"]
    _, output = made["Outputs"]["EventBusName"]["Value"]["Fn::GetAtt"]
    assert output.removeprefix("Outputs.") in template()["Outputs"]


def test_terraform_program_names_parameters_and_outputs() -> None:
    (program,) = document("functions/DEPLOY.md").blocks("hcl")
    (parameters,) = re.findall(r"parameters = \{(.*?)\}", program, re.DOTALL)
    assert set(re.findall(r"(\w+) *=", parameters)) <= template()["Parameters"].keys()
    assert set(re.findall(r'outputs\["(\w+)"\]', program)) <= template()["Outputs"].keys()
    assert set(re.findall(r'outputs\["(\w+)"\]', program))
