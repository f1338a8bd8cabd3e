"""Compiled kernels: imported when they are used, kept on the disk, and not needed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared import jit
from shared.codec.targets import TARGETS, encode
from shared.skeleton import COCO18

ROOT = Path(__file__).parents[2]
ENCODE = """
import numpy as np
from shared.codec.targets import encode
from shared.skeleton import COCO18
heat, field = encode(np.full((1, 18, 3), 60.0), COCO18, (20, 20))
"""
needs_numba = pytest.mark.skipif(not jit.available(), reason="numba is not installed, or turned off")


def python(code: str, **environment: str) -> str:
    """What the code prints in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_what_may_use_kernels_does_not_import_numba():
    code = "import sys, shared.samples, shared.jit; shared.jit.available(); print('numba' in sys.modules)"

    assert python(code) == "False"


@needs_numba
def test_numba_is_used_unless_it_is_turned_off():
    code = ENCODE + "import sys; print('numba' in sys.modules, heat.max())"

    assert python(code).split()[0] == "True"
    assert python(code, POSE_NUMBA="0").split()[0] == "False"
    assert python(code).split()[1] == python(code, POSE_NUMBA="0").split()[1]


@needs_numba
@pytest.mark.parametrize("name", TARGETS)
def test_compiled_targets_are_those_of_numpy(name, monkeypatch):
    points = np.random.default_rng(0).uniform(-60, 430, (8, 18, 3))
    compiled = encode(points, COCO18, (46, 46), TARGETS[name])
    monkeypatch.setenv(jit.OFF, "0")
    monkeypatch.delattr("shared.codec.target_kernels.bumps")  # not called

    for ours, theirs in zip(compiled, encode(points, COCO18, (46, 46), TARGETS[name]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1.5e-7)
        assert np.abs(ours).max() > 0.9


@needs_numba
@pytest.mark.slow
def test_the_second_process_does_not_compile(tmp_path):
    code = ENCODE + (
        "from shared.codec import target_kernels as k\n"
        "print([sum(f.stats.cache_hits.values()) for f in (k.bumps, k.limbs)])"
    )

    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "[0, 0]"
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "[1, 1]"


@needs_numba
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    import numba

    compile_with = numba.njit

    def nowhere(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'add': no locator available for file 'x.py'")
        return compile_with(**options)

    monkeypatch.setattr(numba, "njit", nowhere)

    @jit.njit
    def add(a, b):
        return a + b

    assert add(np.float32(1), np.float32(2)) == 3
    assert add.signatures  # compiled
