"""The vendor's sample, which is not part of the project: who has it tests with it."""

from pathlib import Path

import pytest

from tests.models.project import ROOT

SAMPLE = ROOT.parent / "shared" / "export-sample"


def find_sample() -> Path:
    """The sample's folder; the test is skipped where there is none."""
    if not SAMPLE.exists():
        pytest.skip("the vendor's sample is not at ../shared/export-sample")
    return SAMPLE
