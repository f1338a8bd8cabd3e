"""An evaluation that several processes share: the predictions of one, and no image is done twice."""

import pytest

from eval import runner
from tests.unit.runs import IDENTITY, N, Predictor, StoppedError, groups, read, run, stopping_after


@pytest.fixture
def whole(tmp_path):
    return run(tmp_path / "whole").flat()


def share(out, index, count, predictor=Predictor(), resume=False, groups=groups()):  # noqa: B008
    return runner.predict_share(groups, read, predictor, out, IDENTITY, resume, (index, count))


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_any_number_of_processes_gives_the_same_predictions(tmp_path, whole, count, size):
    shares = [share(tmp_path / "out", index, count, groups=groups(size=size)) for index in reversed(range(count))]
    *others, last = shares

    assert others == [None] * (count - 1)
    assert last.flat() == whole


def test_a_share_that_was_stopped_resumes_and_no_image_is_done_twice(tmp_path, whole):
    done = []

    def counted(image):
        done.append(int(image[0, 0, 0]))
        return image

    assert share(tmp_path, 1, 2, Predictor(counted)) is None
    with pytest.raises(StoppedError):
        share(tmp_path, 0, 2, stopping_after(2, counted))
    found = share(tmp_path, 0, 2, Predictor(counted), resume=True)

    assert found.flat() == whole
    assert sorted(done) == list(range(1, N + 1))


def test_after_the_result_is_written_nothing_is_left_of_the_shares(tmp_path):
    share(tmp_path, 0, 2)

    runner.clean(tmp_path)

    assert not list(tmp_path.iterdir())
