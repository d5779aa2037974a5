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
        count(*) as visitors
    from funnel_steps
    group by experiment_id, metric_name, variation_id, step
),

-- Percentiles by place: the engine's own keep every number in memory until the end. Only what is
-- about as long as a percentile is sorted; how many there are of each length says which that is.
timed as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        seconds_since_previous_step as seconds,
        floor(16e0 * ln(1e0 + seconds_since_previous_step)) as length
    from funnel_steps
    where seconds_since_previous_step is not null
),

counted_lengths as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        length,
        count(*) as length_count
    from timed
    group by experiment_id, metric_name, variation_id, step, length
),

lengths as (
    select
        *,
        sum(length_count) over (
            partition by experiment_id, metric_name, variation_id, step
            order by length
        ) as count_so_far,
        sum(length_count) over (partition by experiment_id, metric_name, variation_id, step) - 1
            as last_place
    from counted_lengths
),

-- Places count from 0.
placed as (
    select
        timed.experiment_id,
        timed.metric_name,
        timed.variation_id,
        timed.step,
        timed.seconds,
        lengths.count_so_far - lengths.length_count - 1 + row_number() over (
            partition by
                timed.experiment_id, timed.metric_name, timed.variation_id, timed.step, timed.length
            order by timed.seconds
        ) as place,
        lengths.last_place
    from timed
    inner join lengths
        on
            timed.experiment_id = lengths.experiment_id
            and timed.metric_name = lengths.metric_name
            and timed.variation_id = lengths.variation_id
            and timed.step = lengths.step
            and timed.length = lengths.length
    where
        lengths.count_so_far > floor(0.5e0 * lengths.last_place)
        and lengths.count_so_far - lengths.length_count <= ceil(0.5e0 * lengths.last_place)
        or lengths.count_so_far > floor(0.9e0 * lengths.last_place)
        and lengths.count_so_far - lengths.length_count <= ceil(0.9e0 * lengths.last_place)
),

-- The rows on both sides of each percentile, and how far between them it is.
around as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        max(case when place = floor(0.5e0 * last_place) then seconds end) as median_from,
        max(case when place = ceil(0.5e0 * last_place) then seconds end) as median_to,
        max(0.5e0 * last_place - floor(0.5e0 * last_place)) as median_part,
        max(case when place = floor(0.9e0 * last_place) then seconds end) as p90_from,
        max(case when place = ceil(0.9e0 * last_place) then seconds end) as p90_to,
        max(0.9e0 * last_place - floor(0.9e0 * last_place)) as p90_part
    from placed
    group by experiment_id, metric_name, variation_id, step
),

interpolated as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        median_from + (median_to - median_from) * median_part as median_seconds,
        p90_from + (p90_to - p90_from) * p90_part as p90_seconds
    from around
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
        interpolated.median_seconds,
        interpolated.p90_seconds
    from arms
    cross join steps
    left join reached
        on
            arms.experiment_id = reached.experiment_id
            and arms.variation_id = reached.variation_id
            and steps.metric_name = reached.metric_name
            and steps.step = reached.step
    left join interpolated
        on
            arms.experiment_id = interpolated.experiment_id
            and arms.variation_id = interpolated.variation_id
            and steps.metric_name = interpolated.metric_name
            and steps.step = interpolated.step
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
