-- The values of a segment divide the visitors of a variation: their sums are those of everyone.
-- Returns the sums that are not.
with

summary as (
    select * from {{ ref('metric_summary') }}
),

sums as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        sum(visitors) as visitors,
        sum(mature_visitors) as mature_visitors,
        sum(value_sum) as value_sum,
        sum(value_sum_squares) as value_sum_squares,
        sum(denominator_sum) as denominator_sum
    from summary
    where segment_name <> 'all'
    group by experiment_id, metric_name, variation_id, segment_name
),

everyone as (
    select *
    from summary
    where segment_name = 'all'
)

select
    sums.experiment_id,
    sums.metric_name,
    sums.variation_id,
    sums.segment_name
from sums
left join everyone
    on
        sums.experiment_id = everyone.experiment_id
        and sums.metric_name = everyone.metric_name
        and sums.variation_id = everyone.variation_id
where
    sums.visitors is distinct from everyone.visitors
    or sums.mature_visitors is distinct from everyone.mature_visitors
    -- Sums of doubles depend on the order of the rows.
    or not coalesce(
        abs(sums.value_sum - everyone.value_sum)
        <= 1e-9 * greatest(1, everyone.value_sum_squares, abs(everyone.value_sum))
        and abs(sums.value_sum_squares - everyone.value_sum_squares)
        <= 1e-9 * greatest(1, everyone.value_sum_squares),
        false
    )
    or sums.denominator_sum is distinct from everyone.denominator_sum
