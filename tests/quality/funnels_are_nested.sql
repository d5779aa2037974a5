-- Who reached a step reached the one before, no later. Returns the steps without one before them.
with

steps as (
    select * from {{ ref('fct_funnel_steps') }}
),

report as (
    select * from {{ ref('funnel_report') }}
),

orphans as (
    select
        later.experiment_id,
        later.metric_name,
        later.visitor_id,
        later.step
    from steps as later
    left join steps as earlier
        on
            later.experiment_id = earlier.experiment_id
            and later.metric_name = earlier.metric_name
            and later.visitor_id = earlier.visitor_id
            and later.step = earlier.step + 1
    where later.step > 1 and not coalesce(earlier.reached_at <= later.reached_at, false)
),

growing as (
    select
        later.experiment_id,
        later.metric_name,
        later.variation_id,
        later.step
    from report as later
    left join report as earlier
        on
            later.experiment_id = earlier.experiment_id
            and later.metric_name = earlier.metric_name
            and later.variation_id = earlier.variation_id
            and later.step = earlier.step + 1
    where later.step > 0 and not coalesce(later.visitors <= earlier.visitors, false)
)

select
    experiment_id,
    metric_name,
    visitor_id as who,
    step
from orphans
union all
select
    experiment_id,
    metric_name,
    variation_id as who,
    step
from growing
