"""Listings that are not what is there, and sources that change between two requests."""

from collections.abc import Callable

import pytest

from loader.errors import ExitCode
from tests.loader.exports import conversion, conversions_of, day, expected, few_days, staged
from tests.loader.faults.faulty import ENDLESSLY, CarriedOver, left_out, meanwhile, repeated
from tests.loader.faults.trial import Trial
from tests.loader.s3_server import PAGE_SIZE
from tests.loader.stores import AWKWARD_NAMES
from tests.models.histories import State, parquet_bytes

DAY = f"type=events/date={day(0)}/"
"""In the address of each listing of the day: the first is to plan, two are around its download."""


@pytest.mark.parametrize(("after", "times"), [(0, 1), (1, 1), (2, 1), (0, ENDLESSLY)])
def test_a_key_that_is_there_twice_is_one_file(trial: Trial, after: int, times: int) -> None:
    trial.publish(few_days(1))
    change = repeated(trial.rng.choice(("part-0", "part-1", "")))
    trial.proxy.spoil("LIST", change, DAY, after=after, times=times)
    trial.survives()
    assert change.met


def test_a_key_that_is_in_two_pages_is_one_file(gcs_trial: Trial) -> None:
    gcs_trial.bucket.page_size = 2  # type: ignore[attr-defined]
    gcs_trial.publish(few_days(1))
    change = CarriedOver("part-0")
    gcs_trial.proxy.spoil("LIST", change, DAY, times=ENDLESSLY)
    gcs_trial.survives()
    assert change.met


@pytest.mark.parametrize("after", [0, 1, 2], ids=["plan", "before", "after"])
def test_a_key_that_one_listing_leaves_out(trial: Trial, after: int) -> None:
    trial.publish(few_days(1))
    trial.proxy.spoil("LIST", left_out("part-1"), DAY, after=after)
    if after == 0:  # the plan only counts days: each is listed again before it is fetched
        trial.survives()
    else:
        assert "run the pull again" in trial.fails(ExitCode.TRANSIENT)
        trial.recovers()


def test_a_key_that_every_listing_leaves_out(trial: Trial) -> None:
    trial.publish(few_days(1))
    trial.proxy.spoil("LIST", left_out("part-1"), DAY, times=ENDLESSLY)
    assert trial.pull().returncode == ExitCode.DONE
    seen = few_days(1)
    seen["events", day(0)] = seen["events", day(0)][:1]
    assert staged(trial.warehouse) == expected(seen)
    trial.proxy.heal()
    assert trial.pull().stdout.startswith("landed 1 days, 2 files")  # another fingerprint
    trial.recovers()


@pytest.mark.parametrize("times", [1, ENDLESSLY])
def test_a_landed_key_that_a_listing_leaves_out(trial: Trial, times: int) -> None:
    trial.publish(few_days(1))
    trial.pull()
    trial.proxy.spoil("LIST", left_out("part-1"), DAY, times=times)
    assert trial.pull().returncode == ExitCode.DONE
    trial.recovers()


@pytest.mark.parametrize(
    ("after", "code"), [(0, ExitCode.NOT_READY), (1, ExitCode.TRANSIENT), (2, ExitCode.TRANSIENT)]
)
def test_a_mark_that_a_listing_leaves_out(trial: Trial, after: int, code: ExitCode) -> None:
    trial.publish(few_days(1))
    trial.proxy.spoil("LIST", left_out("_SUCCESS"), DAY, after=after)
    trial.fails(code)
    trial.recovers()


def replace_a_value(state: State) -> State:
    """Another value, under the same name and of the same size: only the ETag tells."""
    files = few_days(1)["events", day(0)]
    files[1][1][0]["revision"] = "71"
    return state | {("events", day(0)): files}


def rename_the_parts(state: State) -> State:
    return state | conversions_of(day(0), conversion("new"), part="part-new")


def add_a_part(state: State) -> State:
    more = conversions_of(day(0), conversion("more"), part="part-2")
    return state | {unit: state[unit] + files for unit, files in more.items()}


def remove_a_part(state: State) -> State:
    return state | {("events", day(0)): state["events", day(0)][:1]}


REWRITES = (replace_a_value, rename_the_parts, add_a_part, remove_a_part)


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("is_landed", [False, True], ids=["new", "landed"])
def test_a_day_rewritten_between_listing_and_get(
    trial: Trial, rewrite: Callable[[State], State], is_landed: bool
) -> None:
    old = few_days(1)
    if is_landed:  # as it was the day before
        old = few_days(1) | conversions_of(day(0), conversion("older"))
        trial.publish(old)
        trial.pull()
    trial.publish(few_days(1))
    new = rewrite(few_days(1))
    trial.proxy.spoil("LIST", meanwhile(lambda: trial.publish(new)), DAY, after=1)
    done = trial.pull()
    assert (done.returncode, "run the pull again" in done.stderr) == (ExitCode.TRANSIENT, True)
    trial.check_days(old)
    trial.recovers()


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_day_rewritten_while_it_downloads(
    trial: Trial, rewrite: Callable[[State], State]
) -> None:
    trial.publish(few_days(1))
    new = rewrite(few_days(1))
    change = meanwhile(lambda: trial.publish(new))
    trial.proxy.spoil("GET", change, DAY, trial.rng.choice(("part-0", "part-1")))
    done = trial.pull()
    assert (done.returncode, "run the pull again" in done.stderr) == (ExitCode.TRANSIENT, True)
    trial.check_days()
    trial.recovers()


def test_a_mark_removed_while_the_day_downloads(trial: Trial) -> None:
    trial.publish(few_days(1))
    mark = f"{DAY}_SUCCESS"
    trial.proxy.spoil("GET", meanwhile(lambda: trial.bucket.delete(mark)), DAY)
    trial.fails(ExitCode.TRANSIENT)
    trial.fails(ExitCode.NOT_READY)
    trial.bucket.put(mark)
    trial.recovers()


def count_keys(trial: Trial, count: int, is_data: Callable[[int], bool]) -> None:
    """A day of so many keys is landed whole; those that are not of data are hidden."""
    [(first, rows)] = conversions_of(day(0), conversion("one"))["events", day(0)]
    bodies = {f"{DAY}event={number:05}/.hidden": b"" for number in range(count)}
    keys = [f"{DAY}event={number:05}/part-0.parquet" for number in range(count) if is_data(number)]
    for key in keys:
        del bodies[key.replace("part-0.parquet", ".hidden")]
    trial.publish({("events", day(0)): []})
    trial.put_all(bodies | dict.fromkeys(keys, parquet_bytes(first, rows)))
    trial.state = {("events", day(0)): [(key, rows) for key in keys]}
    trial.recovers()


def at_the_edges(page_size: int) -> Callable[[int], bool]:
    """Few keys are of data, for what matters is where pages end."""
    edges = {0, 1, 2, page_size - 3, page_size - 2, page_size - 1}
    return lambda number: number % page_size in edges or number % 100 == 0


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 10_000])
def test_counts_of_keys(gcs_trial: Trial, count: int) -> None:
    count_keys(gcs_trial, count, at_the_edges(1000))


@pytest.mark.parametrize("count", [0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1])
def test_counts_of_keys_in_s3(s3_trial: Trial, count: int) -> None:
    count_keys(s3_trial, count, at_the_edges(PAGE_SIZE))


def test_a_thousand_and_one_files(gcs_trial: Trial) -> None:
    count_keys(gcs_trial, 1001, lambda _: True)


def test_awkward_keys(trial: Trial) -> None:
    names = [*AWKWARD_NAMES, "event=NULL", "__HIVE_DEFAULT_PARTITION__", "sla%2Fsh", "é" * 124]
    longest = "p" * 247 + ".parquet"
    assert len(longest) == 255
    rows = [conversion("one", event_name="as it is in the file")]
    keys = [f"{DAY}event={name}/part-0.parquet" for name in names]
    keys += [f"{DAY}event=e/{name}" for name in (*AWKWARD_NAMES, longest)]
    trial.publish(few_days(1) | {("events", day(0)): [(key, rows) for key in keys]})
    trial.recovers()
