-- Measures 3 to 6: unique conversions, total conversions, revenue and value of one entity,
-- attributed through `experiments`. Returns the experiments × entities where the mart disagrees.
with

specified as (
    select
        experiment_id,
        nullif(entity_id, '') as entity_id,
        count(distinct nullif(visitor_id, '')) as unique_conversions,
        count(*) as total_conversions,
        coalesce(sum(revenue), 0) as revenue,
        coalesce(sum(value), 0) as value
    from ({{ optimizely_e3.specified_attributions() }}) as attributions
    group by experiment_id, nullif(entity_id, '')
),

counted as (
    select
        experiment_id,
        entity_id,
        count(distinct visitor_id) as unique_conversions,
        count(*) as total_conversions,
        coalesce(sum(revenue_cents), 0) as revenue,
        coalesce(sum(value), 0) as value
    from {{ ref('fct_attributed_conversions') }}
    where
        attribution_source in ('vendor', 'both')
        and {{ optimizely_e3.is_in_measured_window('occurred_at') }}
    group by experiment_id, entity_id
)

select
    specified.unique_conversions as specified_unique_conversions,
    counted.unique_conversions as counted_unique_conversions,
    specified.total_conversions as specified_total_conversions,
    counted.total_conversions as counted_total_conversions,
    specified.revenue as specified_revenue,
    counted.revenue as counted_revenue,
    specified.value as specified_value,
    counted.value as counted_value,
    coalesce(specified.experiment_id, counted.experiment_id) as experiment_id,
    coalesce(specified.entity_id, counted.entity_id) as entity_id
from specified
full outer join counted
    on
        specified.experiment_id = counted.experiment_id
        and specified.entity_id is not distinct from counted.entity_id
where
    specified.unique_conversions is distinct from counted.unique_conversions
    or specified.total_conversions is distinct from counted.total_conversions
    or specified.revenue is distinct from counted.revenue
    or counted.value is null
    -- Sums of doubles depend on the order of the rows.
    or abs(specified.value - counted.value) > 1e-9 * greatest(1, abs(specified.value))
