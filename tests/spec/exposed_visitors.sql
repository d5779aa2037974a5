-- Measures 1 and 2, without a window, against the exposures. Returns the experiments that disagree.
{{ config(
    enabled=var('measures_from_ms', none) is none and var('measures_until_ms', none) is none
) }}

with

decisions as (
    select
        experiment_id,
        visitor_id,
        true as is_decision
    from ({{ optimizely_e3.specified_decisions() }}) as decisions
    where visitor_id <> ''
),

attributions as (
    select
        experiment_id,
        visitor_id,
        false as is_decision
    from ({{ optimizely_e3.specified_attributions() }}) as attributions
    where visitor_id <> ''
),

specified as (
    select
        experiment_id,
        count(distinct visitor_id) as visitors,
        count(distinct case when is_decision then visitor_id end) as visitors_by_decisions
    from (
        select * from decisions
        union all
        select * from attributions
    ) as events
    group by experiment_id
),

counted as (
    select
        experiment_id,
        count(*) as visitors,
        count(case when exposure_source in ('decision', 'both') then 1 end) as visitors_by_decisions
    from {{ ref('fct_exposures') }}
    where not is_holdback
    group by experiment_id
)

select
    specified.visitors as specified_visitors,
    counted.visitors as counted_visitors,
    specified.visitors_by_decisions as specified_visitors_by_decisions,
    counted.visitors_by_decisions as counted_visitors_by_decisions,
    coalesce(specified.experiment_id, counted.experiment_id) as experiment_id
from specified
full outer join counted on specified.experiment_id = counted.experiment_id
where
    specified.visitors is distinct from counted.visitors
    or specified.visitors_by_decisions is distinct from counted.visitors_by_decisions
