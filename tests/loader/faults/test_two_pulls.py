"""Two pulls at once into one warehouse: one lands, the other says so, nothing is there twice."""

import pytest

from loader.errors import ExitCode
from tests.loader.command import Done
from tests.loader.exports import few_days
from tests.loader.faults.faulty import meanwhile
from tests.loader.faults.trial import Trial


@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_a_second_one_while_the_first_is_at_work(s3_trial: Trial, kind: str) -> None:
    s3_trial.publish(few_days(2))
    others: list[Done] = []
    second = meanwhile(lambda: others.append(s3_trial.process()))
    # The first listings only look for the export; from then on the first pull holds the spool.
    after = 4 if kind == "LIST" else s3_trial.rng.randrange(4)
    s3_trial.proxy.spoil(kind, second, after=after)
    s3_trial.survives()
    [other] = others
    assert other.returncode == ExitCode.DATABASE_IN_USE, other
    assert other.stdout == ""
    assert "another command works on" in other.stderr


def test_many_that_start_together(s3_trial: Trial) -> None:
    s3_trial.publish(few_days(2))
    started = [s3_trial.started() for _ in range(4)]
    codes = [s3_trial.look_at(process.done()).returncode for process in started]
    assert ExitCode.DONE in codes
    assert set(codes) <= {ExitCode.DONE, ExitCode.DATABASE_IN_USE}
    s3_trial.check_days()
    s3_trial.recovers()
