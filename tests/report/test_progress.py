import io

import pytest

from idgen.report.progress import ProgressLine, Speed, StatusCounts, duration, eta_s, format_progress, progress_record
from idgen.report.status import counts_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_shows_every_count_rate_and_time_left():
    line = format_progress(StatusCounts(asked=1000, ok=400, rejected=10, failed=5, skipped=85), 2.0)
    assert line == " 50.0%  ok 400  rejected 10  failed 5  skipped 85  left 500  2 images/s  ETA 4 min"


@pytest.mark.parametrize("counts", [StatusCounts(asked=0), StatusCounts(asked=5), StatusCounts(asked=5, ok=9)])
@pytest.mark.parametrize("rate", [None, 0.0, 1e-9])
def test_no_count_and_no_rate_breaks_the_line(counts, rate):
    assert "ETA" in format_progress(counts, rate)


def test_a_run_is_not_called_done_before_its_last_picture():
    assert format_progress(StatusCounts(asked=100_000, ok=99_999), 1.0).startswith(" 99.9%")
    assert format_progress(StatusCounts(asked=100_000, ok=100_000), 1.0).startswith("100.0%")


def test_there_is_no_rate_before_two_steps_of_progress():
    speed = Speed()
    for now_s, ok in ((0, 0), (90, 0), (100, 8)):
        speed.add(now_s, StatusCounts(asked=100, ok=ok))
        assert speed.per_second(now_s) is None
    speed.add(104, StatusCounts(asked=100, ok=16))
    assert speed.per_second(104) == pytest.approx(2.0)  # not 16 / 104: loading is not sampling


def test_what_was_skipped_refused_or_made_before_is_not_in_the_rate():
    speed = Speed()
    for now_s, ok in ((0, 5000), (10, 5008), (14, 5016), (18, 5024)):
        speed.add(now_s, StatusCounts(asked=20_000, ok=ok, rejected=700, skipped=9000))
    assert speed.per_second(18) == pytest.approx(2.0)


def test_the_rate_follows_the_last_two_minutes_and_falls_to_none_left():
    speed = Speed()
    done = 0
    for now_s in range(0, 1000, 10):
        done += 100 if now_s < 500 else 10
        speed.add(now_s, StatusCounts(asked=10**6, ok=done))
    assert speed.per_second(990) == pytest.approx(1.0)
    assert 0.5 < speed.per_second(1040) < 1.0  # overdue: it sinks
    assert speed.per_second(2000) == 0.0
    assert eta_s(5, speed.per_second(2000)) is None


def test_between_two_batches_the_rate_is_steady():
    speed = Speed()
    for now_s in range(0, 101, 10):
        speed.add(now_s, StatusCounts(asked=1000, ok=now_s * 2))
    assert {speed.per_second(now_s) for now_s in (100, 105, 110)} == {2.0}


def test_two_reports_in_one_instant_do_not_divide_by_nothing():
    speed = Speed()
    for ok in (0, 1, 2):
        speed.add(5.0, StatusCounts(asked=9, ok=ok))
    assert speed.per_second(5.0) < 10_000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0, "0 s"),
        (-3, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5900, "98 min"),
        (5999, "1 h 40 min"),
        (6000, "1 h 40 min"),
    ],
)
def test_durations_read_well_at_the_edges(seconds, words):
    assert duration(seconds) == words


def test_long_durations_are_in_days():
    assert duration(200_000) == "2 d 7 h"
    assert duration(11_100) == "3 h 05 min"


def test_a_terminal_gets_one_line_that_is_rewritten():
    out, now = Terminal(), [0.0]
    line = ProgressLine(out, clock=lambda: now[0], width=40)
    for step in range(10):
        now[0] = step * 0.5
        line.update(StatusCounts(asked=10, ok=step))
    line.close()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\n")
    assert all(len(part) <= 40 for part in out.getvalue().rstrip("\n").split("\r\x1b[2K"))


def test_a_log_gets_a_line_now_and_then_and_the_last_one():
    out, now = io.StringIO(), [0.0]
    line = ProgressLine(out, every_s=30, clock=lambda: now[0])
    for second in range(61):
        now[0] = float(second)
        line.update(StatusCounts(asked=61, ok=second))
    now[0] = 61.0
    line.update(StatusCounts(asked=61, ok=61))
    line.close()
    assert len(out.getvalue().splitlines()) == 4  # 0, 30, 60 s and the end
    assert out.getvalue().splitlines()[-1].startswith("100.0%")
    assert "\r" not in out.getvalue()


def test_a_log_hears_of_a_wait_at_once_and_of_what_changes_in_it_now_and_then():
    out, now = io.StringIO(), [0.0]
    line = ProgressLine(out, every_s=30, clock=lambda: now[0])
    line.update(StatusCounts(asked=10))
    for second in range(1, 40):
        now[0] = float(second)
        line.tell(f"waiting for 1 GPU: {second} s")
    assert [text[:20] for text in out.getvalue().splitlines()[1:]] == ["waiting for 1 GPU: 1", "waiting for 1 GPU: 3"]
    line.update(StatusCounts(asked=10))
    line.tell("waiting for 1 GPU: again")
    assert out.getvalue().splitlines()[-1] == "waiting for 1 GPU: again"


def test_closing_without_any_count_prints_nothing():
    out = Terminal()
    ProgressLine(out).close()
    assert out.getvalue() == ""


def test_the_record_has_what_status_reads():
    record = progress_record("r", StatusCounts(asked=10, ok=4, skipped=2), 2.0)
    assert (record["left"], record["eta_s"], record["ok"], record["run_id"]) == (4, 2.0, 4, "r")


def test_held_pictures_are_in_the_line_and_in_the_record_only_where_there_are_some():
    assert "held" not in format_progress(StatusCounts(asked=10, ok=4), None)
    assert "  held 3  " in format_progress(StatusCounts(asked=10, ok=4, held=3), None)
    assert StatusCounts(asked=10, ok=4, held=3).done == 4, "held pictures are among the ok ones"
    assert counts_of(progress_record("r", StatusCounts(asked=10, ok=4, held=3), None)).held == 3
