with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

funnel_steps as (
    select * from {{ ref('fct_funnel_steps') }}
),

metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

arms as (
    select
        experiment_id,
        variation_id,
        count(*) as visitors
    from exposures
    group by experiment_id, variation_id
),

funnels as (
    select distinct metric_name
    from funnel_steps
),

steps as (
    select
        metric_name,
        cast(0 as bigint) as step,
        'exposed' as step_name
    from funnels
    union all
    select
        metric_events.metric_name,
        metric_events.part as step,
        {{ optimizely_e3.joined_text(
            'array_sort(array_agg(distinct metric_events.match_value))', "' or '"
        ) }} as step_name
    from metric_events
    inner join funnels on metric_events.metric_name = funnels.metric_name
    group by metric_events.metric_name, metric_events.part
),

reached as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        count(*) as visitors,
        percentile_cont(0.5) within group (order by seconds_since_previous_step) as median_seconds,
        percentile_cont(0.9) within group (order by seconds_since_previous_step) as p90_seconds
    from funnel_steps
    group by experiment_id, metric_name, variation_id, step
),

counted as (
    select
        arms.experiment_id,
        steps.metric_name,
        arms.variation_id,
        steps.step,
        steps.step_name,
        arms.visitors as exposed_visitors,
        case when steps.step = 0 then arms.visitors else coalesce(reached.visitors, 0) end
            as visitors,
        reached.median_seconds,
        reached.p90_seconds
    from arms
    cross join steps
    left join reached
        on
            arms.experiment_id = reached.experiment_id
            and arms.variation_id = reached.variation_id
            and steps.metric_name = reached.metric_name
            and steps.step = reached.step
),

compared as (
    select
        *,
        lag(visitors) over (
            partition by experiment_id, metric_name, variation_id
            order by step
        ) as previous_visitors
    from counted
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        step_name,
        visitors,
        cast(visitors as double) / cast(exposed_visitors as double) as rate_of_exposed,
        cast(visitors as double) / nullif(cast(previous_visitors as double), 0) as rate_of_previous,
        previous_visitors - visitors as lost_visitors,
        median_seconds,
        p90_seconds
    from compared
)

select * from final
