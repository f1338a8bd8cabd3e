"""eval/run.py: whole results, and the same after a kill."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from eval import data, runner
from eval.cli import main
from eval.protocol import digest
from shared import weights
from shared.coco_ap import NAMES
from shared.weights import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ["metrics.json", "predictions.json", "report.html"]
SMALL = ("--height", "64")  # as fast as it goes


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def whole(benchmark, tmp_path_factory):
    """The results of the first three scenes as the command makes them, and what it printed."""
    out, stdout, stderr = tmp_path_factory.mktemp("whole"), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(data, "builtin", lambda: benchmark)
        assert main(["--limit", "3", "--out", str(out)]) == 0
    return out, stdout.getvalue(), stderr.getvalue()


def test_a_run_writes_predictions_numbers_and_a_report(whole):
    out, stdout, stderr = whole
    assert sorted(path.name for path in out.iterdir()) == RESULTS
    metrics, predictions = read(out / "metrics.json"), read(out / "predictions.json")
    assert tuple(metrics["numbers"]) == NAMES
    assert 0.3 < metrics["numbers"]["AP"] < 1
    assert metrics["protocol_sha256"] == digest(metrics["protocol"])
    assert metrics["protocol"]["subset"]["name"] == "all, first 3"
    assert metrics["weights"] == {"file": SHIPPED.name, "sha256": weights.sha256(SHIPPED)}
    assert (metrics["images"], metrics["images_timed"], metrics["detections"]) == (3, 3, len(predictions))
    assert set(metrics["versions"]) == {"python", "machine", "numpy", "opencv", "simplejpeg", "pycocotools"}
    assert set(metrics["seconds"]) == {"read", "prepare", "network", "decode", "write", "all", "metric"}
    assert 0 < metrics["seconds"]["network"] <= metrics["seconds"]["all"]
    assert {p["image_id"] for p in predictions} <= {1, 2, 3}
    assert {len(p["keypoints"]) for p in predictions} == {51}
    assert f"{metrics['numbers']['AP']:.3f}" in stdout
    assert "nothing about photographs" in stdout
    assert "1/3 images" in stderr
    assert "3/3 images" in stderr


def test_the_report_has_the_numbers_and_the_protocol(whole):
    page, metrics = (whole[0] / "report.html").read_text(), read(whole[0] / "metrics.json")
    assert page.startswith("<!doctype html>")
    assert all(f"<td>{value:.3f}</td>" in page for value in metrics["numbers"].values())
    assert metrics["protocol_sha256"][:12] in page
    assert "<td>decoder.name</td><td><code>fast</code></td>" in page
    assert "nothing about photographs" in page


def test_the_report_shows_the_worst_images_and_loads_nothing(evaluate, tmp_path):
    assert evaluate("--limit", 3, *SMALL) == 0

    page = (tmp_path / "out" / "report.html").read_text()
    assert "src='data:image/jpeg;base64,/9j/" in page
    assert "http" not in page


def test_files_give_what_the_built_in_benchmark_gives(evaluate, tmp_path, coco, whole, capsys):
    assert evaluate(*coco) == 0

    assert (tmp_path / "out" / "predictions.json").read_bytes() == (whole[0] / "predictions.json").read_bytes()
    assert read(tmp_path / "out" / "metrics.json")["numbers"] == read(whole[0] / "metrics.json")["numbers"]
    assert "of drawn scenes" not in capsys.readouterr().out
    assert "of drawn scenes" not in (tmp_path / "out" / "report.html").read_text()


def test_scales_and_mirroring_change_the_protocol_and_the_predictions(evaluate, tmp_path):
    found = []
    for name, options in (("plain", ()), ("flip", ("--flip",)), ("scales", ("--scales", "0.5,1"))):
        assert evaluate("--limit", 1, *SMALL, *options) == 0
        out = (tmp_path / "out").rename(tmp_path / name)
        found.append((read(out / "metrics.json")["protocol_sha256"], (out / "predictions.json").read_text()))

    assert len({protocol for protocol, _ in found}) == 3
    assert len({predictions for _, predictions in found}) == 3


def test_batches_and_another_scorer_give_the_same_numbers(evaluate, tmp_path):
    """A batch may change the last bits of the maps, no more."""
    pytest.importorskip("faster_coco_eval", reason="optional: requirements-dev.txt")
    assert evaluate("--limit", 4, *SMALL) == 0
    plain = (tmp_path / "out").rename(tmp_path / "plain")

    assert evaluate("--limit", 4, *SMALL, "--batch", 4, "--scorer", "faster-coco-eval") == 0

    metrics = read(tmp_path / "out" / "metrics.json")
    assert metrics["numbers"] == pytest.approx(read(plain / "metrics.json")["numbers"], abs=1e-3)
    assert metrics["protocol_sha256"] == read(plain / "metrics.json")["protocol_sha256"]
    assert "faster-coco-eval" in metrics["versions"]
    assert metrics["identity"]["batch"] == "4"


def test_a_finished_run_is_shown_again_or_repeated_and_another_is_refused(evaluate, tmp_path, capsys, monkeypatch):
    evaluate("--limit", 1, *SMALL)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    first = capsys.readouterr().out
    assert evaluate("--limit", 2, *SMALL) == 2
    assert "holds another run; choose another --out" in capsys.readouterr().err

    with monkeypatch.context() as patch:
        patch.setattr(runner, "predict", None)
        assert evaluate("--limit", 1, *SMALL, "--resume") == 0
    assert capsys.readouterr().out == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files

    assert evaluate("--limit", 1, *SMALL) == 0
    assert (tmp_path / "out" / "predictions.json").read_bytes() == files["predictions.json"]
    assert sorted(files) == RESULTS


def test_a_run_that_stopped_between_its_numbers_and_its_end_is_finished(evaluate, tmp_path):
    evaluate("--limit", 1, *SMALL)
    (tmp_path / "out" / runner.PART).write_text("left over")

    assert evaluate("--limit", 1, *SMALL, "--resume") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS


def test_a_stopped_run_resumes_to_the_same_bytes(evaluate, tmp_path, monkeypatch, benchmark, capsys):
    evaluate("--limit", 2, *SMALL)
    whole = (tmp_path / "out").rename(tmp_path / "whole")

    def stopping(record):
        if record.id == 2:
            raise KeyboardInterrupt
        return benchmark.read(record)

    with monkeypatch.context() as patch:
        patch.setattr(data, "builtin", lambda: replace(benchmark, read=stopping))
        assert evaluate("--limit", 2, *SMALL) == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == [runner.PART]
    capsys.readouterr()

    assert evaluate("--limit", 2, *SMALL) == 2
    assert "add --resume" in capsys.readouterr().err
    assert evaluate("--limit", 2, *SMALL, "--resume") == 0

    assert (tmp_path / "out" / "predictions.json").read_bytes() == (whole / "predictions.json").read_bytes()
    assert read(tmp_path / "out" / "metrics.json")["images_timed"] == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_bytes(tmp_path):
    command = [sys.executable, str(ROOT / "eval" / "run.py"), "--limit", "8", "--height", "184", "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True, cwd=tmp_path)

    part = tmp_path / "out" / runner.PART
    with subprocess.Popen([*command, str(tmp_path / "out")], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < 3):
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in part.parent.iterdir()] == [runner.PART]

    done = subprocess.run(
        [*command, str(tmp_path / "out"), "--resume"], check=True, capture_output=True, text=True, cwd=tmp_path
    )

    assert "8/8 images" in done.stderr
    assert 0 < read(tmp_path / "out" / "metrics.json")["images_timed"] < 8
    names = [path / "predictions.json" for path in (tmp_path / "whole", tmp_path / "out")]
    assert names[0].read_bytes() == names[1].read_bytes()


@pytest.mark.slow
def test_two_shares_write_what_one_run_writes(evaluate, tmp_path, capsys):
    evaluate("--limit", 3, *SMALL)
    whole = (tmp_path / "out").rename(tmp_path / "whole")

    assert evaluate("--limit", 3, *SMALL, "--shard", "1/2") == 0
    assert "part 1 of 2 is done" in capsys.readouterr().out
    assert evaluate("--limit", 3, *SMALL, "--shard", "0/2") == 0

    assert (tmp_path / "out" / "predictions.json").read_bytes() == (whole / "predictions.json").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "1", "a/b", "0/0"])
def test_a_share_that_cannot_be_is_refused(evaluate, capsys, shard):
    assert evaluate("--shard", shard) == 2
    assert "--shard" in capsys.readouterr().err
