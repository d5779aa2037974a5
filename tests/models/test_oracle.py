"""The vendor's public sample, built: every number that the specification gives for it."""

from collections import Counter
from pathlib import Path

import pytest

from tests.models.analyses import Built, blank_columns
from tests.models.project import ROOT, Project, failures, with_status
from tests.models.quality_data import fill_seed
from tests.models.sample import find_sample

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
    assert len(project.pull(find_sample()).landed) == 2
    result = project.dbt("build")
    assert result.success
    return project


@pytest.fixture(scope="module")
def analyses(project: Project) -> Built:
    return Built(project)


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


def test_audits_agree(project: Project) -> None:
    assert project.query("select * exclude (session_date) from session_audit") == [
        ("agree", 9_999, 20_110)
    ]
    assert project.query(
        """
        select experiment_id, agreement, conversion_count, visitor_count, share_of_conversions
        from attribution_audit order by experiment_id
        """
    ) == [
        ("18142600572", "no_decision_seen", 5_877, 998, 1.0),
        ("18156943409", "agree", 5_232, 5_232, 1.0),
    ]
    assert project.query("select count(*) from duplicate_events") == [(0,)]
    assert project.query(
        """
        select export_type, row_count, is_complete, is_latest_complete, is_missing
        from export_days order by export_type
        """
    ) == [("decisions", 9_001, True, True, False), ("events", 11_109, True, True, False)]


def test_the_vendors_numbers_are_found(project: Project, tmp_path: Path) -> None:
    """Each of the specification's numbers is reached, and by the way that should reach it."""
    page = Project(tmp_path)
    page.warehouse.write_bytes(project.warehouse.read_bytes())
    numbers = [
        (experiment_id, None, event_key, measure, value)
        for experiment_id, values in MEASURES.items()
        for (event_key, measure), value in zip(
            [
                (None, "visitors"),
                ("add_to_cart", "unique_conversions"),
                ("add_to_cart", "total_conversions"),
                ("add_to_cart", "revenue_cents"),
                ("add_to_cart", "value"),
            ],
            values[1:],
            strict=True,
        )
    ]
    fill_seed(page, numbers)
    result = page.dbt("build", "--select", "results_reconciliation")
    assert result.success, failures(result)
    # Attribution says nothing of visitors, and nothing is flagged as a bot in the sample.
    ways = "visitor_counting = 'web' and crossovers = 'first' and attribution = 'vendor'"
    assert page.query(
        f"""
        select count(*), count(*) filter (where is_closest),
            count(*) filter (where is_within_threshold and reasons is null)
        from results_reconciliation where {ways}
        """
    ) == [(2 * len(numbers),) * 3]
    assert page.query(
        """
        select our_value, reasons from results_reconciliation
        where is_configured and experiment_id = '18142600572' and measure = 'visitors'
        """
    ) == [
        (
            0.0,
            "visitors in more than one variation: 937; "
            "visitors that only the vendor attributes, without a decision: 998; "
            "landed up to 2020-05-25",
        )
    ]


def test_the_same_pull_again_changes_nothing(project: Project) -> None:
    before = project.warehouse.stat().st_mtime_ns
    result = project.pull(find_sample())
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


def test_every_analysis_runs_as_it_stands(analyses: Built) -> None:
    answers = analyses.answers()
    # No funnel's first step, one day of each type, nothing late, no bots.
    assert {query for query, rows in answers.items() if not rows} == {
        "where_do_funnels_lose_visitors",
        "which_days_are_missing",
        "what_late_events_changed",
        "which_visitors_are_bots",
    }
    # The sample has neither names nor tags.
    named = {"declared_metrics", "denominator", "event_type", "tag_names", "variation_name"}
    assert blank_columns(answers) <= named


@pytest.mark.parametrize("experiment_id", MEASURES)
def test_six_measures_by_the_analysis(analyses: Built, experiment_id: str) -> None:
    asked = {
        # Not as text: as they are typed after --vars.
        "experiment_id": int(experiment_id),
        "entity_id": int(ENTITY),
        "measures_from_ms": 1590364800000,
        "measures_until_ms": 1590451199999,
    }
    [row] = analyses.answer("six_measures", **asked)
    *counts, value = MEASURES[experiment_id]
    assert list(row.values())[:-1] == [experiment_id, ENTITY, *counts]
    assert row["total_value"] == pytest.approx(value, rel=1e-12)


def test_six_measures_by_the_analysis_of_a_window_and_an_entity_without_conversions(
    analyses: Built,
) -> None:
    first, last = 1590364800000, 1590451199999
    halves = [
        analyses.answer("six_measures", measures_from_ms=start, measures_until_ms=end)
        for start, end in ((first, first + 43_199_999), (first + 43_200_000, last))
    ]
    totals = Counter[str]()
    for row in (row for rows in halves for row in rows if row["entity_id"] == ENTITY):
        totals[row["experiment_id"]] += row["total_conversions"]
    assert totals == {experiment_id: row[3] for experiment_id, row in MEASURES.items()}
    nothing = analyses.answer("six_measures", entity_id="1")
    assert [(row["entity_id"], row["total_conversions"]) for row in nothing] == [("1", 0)] * 2
    assert [row["visitors_by_all_events"] for row in nothing] == [998, 9_001]


def test_which_visitors_saw_two_variations(analyses: Built) -> None:
    rows = analyses.answer("which_visitors_saw_two_variations")
    assert Counter(row["experiment_id"] for row in rows) == {"18142600572": 937}
