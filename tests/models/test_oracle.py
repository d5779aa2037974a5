"""The vendor's public sample, built: every number that the specification gives for it."""

from pathlib import Path

import pytest

from tests.models.project import ROOT, Project, with_status

SAMPLE = ROOT.parent / "shared" / "export-sample"

pytestmark = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the vendor's sample is not at ../shared/export-sample"
)

WINDOW = "epoch_ms(occurred_at) between 1590364800000 and 1590451199999"
ENTITY = "15776040040"

MEASURES = {
    "18156943409": (9_001, 9_001, 5_232, 5_232, 0, 0.0),
    "18142600572": (0, 998, 998, 5_877, 2_316_000, 2316000.02316008),
}
"""Experiment, and the specification's six measures of it for the entity in the window."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("oracle"))
    assert len(project.pull(SAMPLE).landed) == 2
    result = project.dbt("build")
    assert result.success
    return project


@pytest.mark.parametrize("experiment_id", MEASURES)
def test_six_measures(project: Project, experiment_id: str) -> None:
    visitors, all_visitors, unique, total, revenue, value = MEASURES[experiment_id]
    assert project.query(
        f"""
        select count(distinct visitor_id) from fct_decisions
        where experiment_id = ? and not is_holdback and {WINDOW}
        """,
        experiment_id,
    ) == [(visitors,)]
    assert project.query(
        "select count(*) from fct_exposures where experiment_id = ? and not is_holdback",
        experiment_id,
    ) == [(all_visitors,)]
    [attributed] = project.query(
        f"""
        select count(distinct visitor_id), count(*), sum(revenue_cents), sum(value)
        from fct_attributed_conversions
        where experiment_id = ? and entity_id = ? and attribution_source in ('vendor', 'both')
            and {WINDOW}
        """,
        experiment_id,
        ENTITY,
    )
    assert attributed[:3] == (unique, total, revenue)
    assert attributed[3] == pytest.approx(value, rel=1e-12)


def test_variations_with_decisions(project: Project) -> None:
    assert project.query(
        """
        select variation_id, visitors, numerator from experiment_results
        where experiment_id = '18156943409' and metric_name = 'add_to_cart: unique conversions'
        order by variation_id
        """
    ) == [("18112613000", 4_487, 2_577), ("18174970251", 4_514, 2_655)]


def test_variations_by_the_vendor_alone(project: Project) -> None:
    assert project.query(
        """
        select variation_id, count(distinct visitor_id) from fct_attributed_conversions
        where experiment_id = '18142600572' group by variation_id order by variation_id
        """
    ) == [("18130191769", 972), ("18159011346", 963)]
    assert project.query(
        """
        select count(*), count(*) filter (where exposure_status = 'crossover')
        from fct_exposures where experiment_id = '18142600572' and exposure_source = 'vendor'
        """
    ) == [(998, 937)]


def test_sessions_are_the_vendors(project: Project) -> None:
    assert project.query("select count(*) from fct_sessions") == [(9_999,)]
    # Ours and the vendor's ids pair off one to one: neither splits what the other joins.
    assert (
        project.query(
            """
            with events as (
                select visitor_id, session_key, vendor_session_id from fct_decisions
                union all
                select visitor_id, session_key, vendor_session_id from fct_conversions
            )
            select visitor_id from events group by visitor_id
            having count(distinct session_key) <> count(distinct (session_key, vendor_session_id))
                or count(distinct vendor_session_id)
                    <> count(distinct (session_key, vendor_session_id))
            """
        )
        == []
    )


def test_derived_attribution_agrees_with_the_vendors(project: Project) -> None:
    assert project.query(
        """
        select attribution_source, count(*), count(distinct visitor_id),
            count(*) filter (where variation_id = vendor_variation_id)
        from fct_attributed_conversions where experiment_id = '18156943409' group by all
        """
    ) == [("both", 5_232, 5_232, 5_232)]


def test_the_same_pull_again_changes_nothing(project: Project) -> None:
    before = project.warehouse.stat().st_mtime_ns
    result = project.pull(SAMPLE)
    assert (len(result.landed), len(result.plan.unchanged)) == (0, 2)
    assert project.warehouse.stat().st_mtime_ns == before


def test_measures_tests_find_what_is_wrong(project: Project, tmp_path: Path) -> None:
    """The tests in tests/spec can fail: each is shown a mart with one row less."""
    broken = Project(tmp_path)
    broken.warehouse.write_bytes(project.warehouse.read_bytes())
    broken.execute(
        """
        delete from fct_decisions where visitor_id = (select min(visitor_id) from fct_decisions);
        delete from fct_attributed_conversions
        where event_id = (select min(event_id) from fct_attributed_conversions);
        delete from fct_exposures where visitor_id = (select min(visitor_id) from fct_exposures);
        """
    )
    result = broken.dbt("test", "--select", "path:tests/spec")
    assert with_status(result, "fail") == {
        path.stem for path in (ROOT / "tests" / "spec").glob("*.sql")
    }
