-- How long after their exposure do visitors convert?
--
-- One row per experiment × event × variation in which anybody did the event. A visitor counts with
-- the first of the conversions that the results count; `converted_within_…` count visitors who had
-- converted by then, and the quantiles are of those who converted at all.
--
-- Vars: `experiment_id`, `event_key` (the event's name, or its entity id where it has none),
-- `variation_id` (all without them).
with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

variations as (
    select * from {{ ref('dim_variations') }}
),

conversions as (
    {{ optimizely_e3.counted_conversions() }}
),

arms as (
    select
        experiment_id,
        variation_id,
        count(*) as visitors
    from exposures
    group by experiment_id, variation_id
),

first_conversions as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        event_key,
        min(seconds_since_exposure) as seconds
    from conversions
    where
        event_key is not null
        and {{ optimizely_e3.is_asked_for('experiment_id') }}
        and {{ optimizely_e3.is_asked_for('event_key') }}
        and {{ optimizely_e3.is_asked_for('variation_id') }}
    group by experiment_id, visitor_id, variation_id, event_key
),

times as (
    select
        experiment_id,
        variation_id,
        event_key,
        count(*) as converted_visitors,
        cast(count_if(seconds <= 3600) as bigint) as converted_within_hour,
        cast(count_if(seconds <= 86400) as bigint) as converted_within_day,
        cast(count_if(seconds <= 604800) as bigint) as converted_within_week,
        percentile_cont(0.5) within group (order by seconds) as median_seconds,
        percentile_cont(0.9) within group (order by seconds) as p90_seconds,
        max(seconds) as longest_seconds
    from first_conversions
    group by experiment_id, variation_id, event_key
),

final as (
    select
        times.experiment_id,
        times.event_key,
        times.variation_id,
        arms.visitors,
        times.converted_visitors,
        times.median_seconds,
        times.p90_seconds,
        times.longest_seconds,
        times.converted_within_hour,
        times.converted_within_day,
        times.converted_within_week,
        variations.variation_name
    from times
    inner join arms
        on
            times.experiment_id = arms.experiment_id
            and times.variation_id = arms.variation_id
    left join variations
        on
            times.experiment_id = variations.experiment_id
            and times.variation_id = variations.variation_id
)

select * from final
order by experiment_id, event_key, variation_id
