{{ config(materialized='table_if_changed') }}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

metric_values as (
    select * from {{ ref('int_metric_values') }}
),

definitions as (
    select * from {{ ref('int_metric_definitions') }}
),

experiments as (
    select distinct experiment_id
    from exposures
),

observed as (
    select
        experiment_id,
        metric_name,
        metric_origin,
        bool_or(denominator is not null) as is_ratio,
        bool_or(conversion_count is not null) as is_of_conversions
    from metric_values
    group by experiment_id, metric_name, metric_origin
),

wanted as (
    select
        metric_name,
        metric_origin,
        bool_or(is_ratio) as is_ratio,
        bool_or(is_of_conversions) as is_of_conversions
    from observed
    where metric_origin <> 'automatic'
    group by metric_name, metric_origin
),

-- An event that nobody of an experiment did is no metric of it; what was asked for is one of all.
present as (
    select
        experiment_id,
        metric_name,
        metric_origin,
        is_ratio,
        is_of_conversions
    from observed
    where metric_origin = 'automatic'
    union all
    select
        experiments.experiment_id,
        wanted.metric_name,
        wanted.metric_origin,
        wanted.is_ratio,
        wanted.is_of_conversions
    from experiments
    cross join wanted
),

final as (
    select
        present.experiment_id,
        present.metric_name,
        present.metric_origin,
        present.is_ratio,
        present.is_of_conversions,
        definitions.maturity_microseconds
    from present
    left join definitions on present.metric_name = definitions.metric_name
)

select * from final
