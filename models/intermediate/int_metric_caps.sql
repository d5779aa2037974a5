{{ config(materialized='table_if_changed') }}

with

observations as (
    select * from {{ ref('int_declared_observations') }}
),

metrics as (
    select *
    from {{ ref('int_metric_definitions') }}
    where cap_quantile is not null
),

ranked as (
    select
        observations.experiment_id,
        observations.metric_name,
        observations.value,
        metrics.cap_quantile,
        row_number() over (
            partition by observations.experiment_id, observations.metric_name
            order by observations.value, observations.visitor_id
        ) as value_rank,
        count(*) over (partition by observations.experiment_id, observations.metric_name)
            as value_count
    from observations
    inner join metrics on observations.metric_name = metrics.metric_name
    where observations.is_latest and observations.value > 0
),

final as (
    select
        experiment_id,
        metric_name,
        min(value) as cap
    from ranked
    where value_rank >= cap_quantile * value_count
    group by experiment_id, metric_name
)

select * from final
