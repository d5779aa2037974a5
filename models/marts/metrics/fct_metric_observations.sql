{{ config(materialized='replaced_view') }}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
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

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        experiment_metrics.metric_name,
        exposures.variation_id,
        coalesce(metric_values.value, cast(0 as double)) as value,
        coalesce(metric_values.uncapped_value, cast(0 as double)) as uncapped_value,
        case
            when experiment_metrics.is_ratio
                then coalesce(metric_values.denominator, cast(0 as double))
        end as denominator,
        {{ optimizely_e3.is_mature('exposures.exposed_at', 'experiment_metrics') }} as is_mature
    from exposures
    inner join experiment_metrics on exposures.experiment_id = experiment_metrics.experiment_id
    cross join data_end
    left join metric_values
        on
            exposures.experiment_id = metric_values.experiment_id
            and exposures.visitor_id = metric_values.visitor_id
            and experiment_metrics.metric_name = metric_values.metric_name
)

select * from final
