-- A metric with more time, or without limit, counts at least what the same metric counts in less.
-- Returns the pairs of metrics where it does not.
with

summary as (
    select * from {{ ref('metric_summary') }}
),

definitions as (
    select
        *,
        coalesce(window_microseconds, 9e18) as longest_window,
        coalesce(within_microseconds, 9e18) as longest_chain
    from {{ ref('int_metric_definitions') }}
    where metric_type in ('conversion', 'count', 'funnel') and cap_quantile is null
),

pairs as (
    select
        shorter.metric_name as shorter_name,
        longer.metric_name as longer_name
    from definitions as shorter
    inner join definitions as longer
        on
            shorter.metric_type = longer.metric_type
            and shorter.events_fingerprint = longer.events_fingerprint
            and shorter.scope = longer.scope
            and shorter.metric_name <> longer.metric_name
            and shorter.longest_window <= longer.longest_window
            and (
                longer.within_microseconds is null
                or (
                    shorter.within_from = longer.within_from
                    and shorter.longest_chain <= longer.longest_chain
                )
            )
)

select
    shorter.experiment_id,
    shorter.variation_id,
    shorter.segment_name,
    shorter.segment_value,
    shorter.metric_name as shorter_metric,
    longer.metric_name as longer_metric,
    shorter.value_sum as shorter_sum,
    longer.value_sum as longer_sum
from pairs
inner join summary as shorter on pairs.shorter_name = shorter.metric_name
inner join summary as longer
    on
        pairs.longer_name = longer.metric_name
        and shorter.experiment_id = longer.experiment_id
        and shorter.variation_id = longer.variation_id
        and shorter.segment_name = longer.segment_name
        and shorter.segment_value = longer.segment_value
where shorter.value_sum > longer.value_sum
