-- No more visitors converted than there are conversions. Returns the experiments × events ×
-- variations × segments where more did.
with

summary as (
    select * from {{ ref('metric_summary') }}
),

definitions as (
    select * from {{ ref('int_metric_definitions') }}
),

-- Metrics of the same events in the same time, and those that every event is by itself.
pairs as (
    select
        conversions.metric_name as unique_name,
        counts.metric_name as total_name
    from definitions as conversions
    inner join definitions as counts
        on
            conversions.events_fingerprint = counts.events_fingerprint
            and conversions.window_microseconds is not distinct from counts.window_microseconds
    where
        conversions.metric_type = 'conversion'
        and counts.metric_type = 'count'
        and counts.cap_quantile is null
    union all
    select distinct
        metric_name as unique_name,
        replace(metric_name, ': unique conversions', ': total conversions') as total_name
    from summary
    where metric_name like '%: unique conversions'
)

select
    totals.experiment_id,
    totals.metric_name,
    totals.variation_id,
    totals.segment_name,
    totals.segment_value,
    uniques.value_sum as unique_conversions,
    totals.value_sum as total_conversions
from pairs
inner join summary as uniques on pairs.unique_name = uniques.metric_name
inner join summary as totals
    on
        pairs.total_name = totals.metric_name
        and uniques.experiment_id = totals.experiment_id
        and uniques.variation_id = totals.variation_id
        and uniques.segment_name = totals.segment_name
        and uniques.segment_value = totals.segment_value
where uniques.value_sum > totals.value_sum or uniques.value_sum > uniques.visitors
