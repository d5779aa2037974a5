-- Counted as the vars say, every number of the seed `vendor_results` is that of `metric_summary`.
-- Returns those that are not.
with

reconciled as (
    select
        experiment_id,
        variation_id,
        measure,
        our_value,
        event_key || case measure
            when 'unique_conversions' then ': unique conversions'
            when 'total_conversions' then ': total conversions'
            when 'revenue_cents' then ': revenue'
            when 'value' then ': value'
        end as metric_name
    from {{ ref('results_reconciliation') }}
    where is_configured and our_value is not null
),

summary as (
    select
        experiment_id,
        variation_id,
        metric_name,
        visitors,
        value_sum
    from {{ ref('metric_summary') }}
    where segment_name = 'all'
),

compared as (
    select
        reconciled.experiment_id,
        reconciled.variation_id,
        reconciled.measure,
        summary.metric_name,
        reconciled.our_value,
        case when reconciled.measure = 'visitors' then summary.visitors else summary.value_sum end
            as summary_value
    from reconciled
    inner join summary
        on
            reconciled.experiment_id = summary.experiment_id
            and reconciled.variation_id = summary.variation_id
            and (reconciled.measure = 'visitors' or reconciled.metric_name = summary.metric_name)
)

select *
from compared
-- Sums of doubles depend on the order of their rows.
where abs(our_value - summary_value) > 1e-9 * greatest(1, abs(summary_value))
