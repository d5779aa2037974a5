with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

metric_values as (
    select * from {{ ref('int_metric_values') }}
),

arms as (
    select
        experiment_id,
        variation_id,
        count(*) as visitors
    from exposures
    group by experiment_id, variation_id
),

experiment_metrics as (
    select distinct
        experiment_id,
        metric_name
    from metric_values
),

-- Visitors without a value add nothing to a sum: only those with one are read.
sums as (
    select
        experiment_id,
        variation_id,
        metric_name,
        sum(value) as value_sum,
        sum(value * value) as value_sum_squares
    from metric_values
    group by experiment_id, variation_id, metric_name
),

final as (
    select
        arms.experiment_id,
        experiment_metrics.metric_name,
        arms.variation_id,
        'all' as segment_name,
        'all' as segment_value,
        arms.visitors,
        coalesce(sums.value_sum, cast(0 as double)) as value_sum,
        coalesce(sums.value_sum_squares, cast(0 as double)) as value_sum_squares,
        cast(null as double) as denominator_sum,
        cast(null as double) as denominator_sum_squares,
        cast(null as double) as cross_product_sum
    from arms
    inner join experiment_metrics on arms.experiment_id = experiment_metrics.experiment_id
    left join sums
        on
            arms.experiment_id = sums.experiment_id
            and arms.variation_id = sums.variation_id
            and experiment_metrics.metric_name = sums.metric_name
)

select * from final
