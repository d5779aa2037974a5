with

daily_values as (
    select * from {{ ref('int_daily_values') }}
),

final as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        metric_name,
        metric_origin,
        uncapped_value,
        value,
        denominator,
        conversion_count
    from daily_values
    where is_latest
)

select * from final
