with

exposures as (
    select * from {{ ref('int_exposure_segments') }}
),

experiment_metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

metric_values as (
    select * from {{ ref('int_metric_values') }}
),

data_end as (
    select * from {{ ref('int_data_end') }}
),

-- Metrics differ in few lengths of time; visitors are counted once for each.
periods as (
    select distinct maturity_microseconds
    from experiment_metrics
),

arms as (
    select
        exposures.experiment_id,
        exposures.variation_id,
        exposures.segment_name,
        exposures.segment_value,
        periods.maturity_microseconds,
        count(*) as visitors,
        cast(
            count_if({{ optimizely_e3.is_mature('exposures.exposed_at', 'periods') }}) as bigint
        ) as mature_visitors
    from exposures
    cross join periods
    cross join data_end
    group by
        exposures.experiment_id,
        exposures.variation_id,
        exposures.segment_name,
        exposures.segment_value,
        periods.maturity_microseconds
),

-- Visitors without a value add nothing to a sum: only those with one are read.
segmented_values as (
    select
        experiment_id,
        variation_id,
        metric_name,
        'all' as segment_name,
        'all' as segment_value,
        value,
        denominator
    from metric_values
    {%- if var('segments') %}
    union all
    select
        metric_values.experiment_id,
        metric_values.variation_id,
        metric_values.metric_name,
        exposures.segment_name,
        exposures.segment_value,
        metric_values.value,
        metric_values.denominator
    from metric_values
    inner join exposures
        on
            metric_values.experiment_id = exposures.experiment_id
            and metric_values.visitor_id = exposures.visitor_id
    where exposures.segment_name <> 'all'
    {%- endif %}
),

sums as (
    select
        experiment_id,
        variation_id,
        metric_name,
        segment_name,
        segment_value,
        sum(value) as value_sum,
        sum(value * value) as value_sum_squares,
        sum(denominator) as denominator_sum,
        sum(denominator * denominator) as denominator_sum_squares,
        sum(value * denominator) as cross_product_sum
    from segmented_values
    group by experiment_id, variation_id, metric_name, segment_name, segment_value
),

final as (
    select
        arms.experiment_id,
        experiment_metrics.metric_name,
        arms.variation_id,
        arms.segment_name,
        arms.segment_value,
        arms.visitors,
        arms.mature_visitors,
        coalesce(sums.value_sum, cast(0 as double)) as value_sum,
        coalesce(sums.value_sum_squares, cast(0 as double)) as value_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.denominator_sum, cast(0 as double))
        end as denominator_sum,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.denominator_sum_squares, cast(0 as double))
        end as denominator_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.cross_product_sum, cast(0 as double))
        end as cross_product_sum
    from arms
    inner join experiment_metrics
        on
            arms.experiment_id = experiment_metrics.experiment_id
            and arms.maturity_microseconds
            is not distinct from experiment_metrics.maturity_microseconds
    left join sums
        on
            arms.experiment_id = sums.experiment_id
            and arms.variation_id = sums.variation_id
            and arms.segment_name = sums.segment_name
            and arms.segment_value = sums.segment_value
            and experiment_metrics.metric_name = sums.metric_name
)

select * from final
