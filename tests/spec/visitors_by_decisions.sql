-- Measure 1: unique visitors by decisions without holdback. Returns the experiments where a mart
-- disagrees.
with

specified as (
    select
        experiment_id,
        count(distinct nullif(visitor_id, '')) as visitors
    from ({{ optimizely_e3.specified_decisions() }}) as decisions
    group by experiment_id
),

counted as (
    select
        experiment_id,
        count(distinct visitor_id) as visitors
    from {{ ref('fct_decisions') }}
    where
        experiment_id is not null
        and not is_holdback
        and {{ optimizely_e3.is_in_measured_window('occurred_at') }}
    group by experiment_id
)

select
    specified.visitors as specified_visitors,
    counted.visitors as counted_visitors,
    coalesce(specified.experiment_id, counted.experiment_id) as experiment_id
from specified
full outer join counted on specified.experiment_id = counted.experiment_id
where specified.visitors is distinct from counted.visitors
