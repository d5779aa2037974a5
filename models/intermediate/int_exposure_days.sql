{#- A table, for all exposures are counted by day here, and nowhere else. -#}
{{ config(materialized='table_if_changed') }}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

dated as (
    select
        experiment_id,
        variation_id,
        cast(exposed_at as date) as exposure_date
    from exposures
),

final as (
    select
        experiment_id,
        variation_id,
        exposure_date,
        count(*) as new_visitors
    from dated
    group by experiment_id, variation_id, exposure_date
)

select * from final
