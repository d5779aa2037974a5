-- Measure 2: unique visitors from all events. Returns the experiments where a mart disagrees.
with

specified as (
    select
        experiment_id,
        count(distinct nullif(visitor_id, '')) as visitors
    from (
        {{ optimizely_e3.specified_decisions() }}
        union all
        {{ optimizely_e3.specified_attributions() }}
    ) as events
    group by experiment_id
),

events as (
    select
        experiment_id,
        visitor_id,
        occurred_at
    from {{ ref('fct_decisions') }}
    where experiment_id is not null and not is_holdback
    union all
    select
        experiment_id,
        visitor_id,
        occurred_at
    from {{ ref('fct_attributed_conversions') }}
    where attribution_source in ('vendor', 'both')
),

counted as (
    select
        experiment_id,
        count(distinct visitor_id) as visitors
    from events
    where {{ optimizely_e3.is_in_measured_window('occurred_at') }}
    group by experiment_id
)

select
    specified.visitors as specified_visitors,
    counted.visitors as counted_visitors,
    coalesce(specified.experiment_id, counted.experiment_id) as experiment_id
from specified
full outer join counted on specified.experiment_id = counted.experiment_id
where specified.visitors is distinct from counted.visitors
