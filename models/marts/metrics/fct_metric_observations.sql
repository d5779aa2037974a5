{{ config(materialized='view') }}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

metric_values as (
    select * from {{ ref('int_metric_values') }}
),

experiment_metrics as (
    select distinct
        experiment_id,
        metric_name
    from metric_values
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        experiment_metrics.metric_name,
        exposures.variation_id,
        coalesce(metric_values.value, cast(0 as double)) as value,
        cast(null as double) as denominator,
        true as is_mature
    from exposures
    inner join experiment_metrics on exposures.experiment_id = experiment_metrics.experiment_id
    left join metric_values
        on
            exposures.experiment_id = metric_values.experiment_id
            and exposures.visitor_id = metric_values.visitor_id
            and experiment_metrics.metric_name = metric_values.metric_name
)

select * from final
