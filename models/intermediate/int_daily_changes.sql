{{ config(materialized='table_if_changed') }}

with

daily_values as (
    select * from {{ ref('int_daily_values') }}
),

-- All that is known of days in one reading of the observations; what is left is small.
final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        exposed_on,
        observed_on,
        sum(value - previous_value) as value_sum,
        sum(value * value - previous_value * previous_value) as value_sum_squares,
        sum(denominator - previous_denominator) as denominator_sum,
        sum(denominator * denominator - previous_denominator * previous_denominator)
            as denominator_sum_squares,
        sum(value * denominator - previous_value * previous_denominator) as cross_product_sum,
        sum((value - previous_value) * (value - previous_value)) as change_sum_squares,
        sum((denominator - previous_denominator) * (denominator - previous_denominator))
            as denominator_change_sum_squares,
        sum((value - previous_value) * (denominator - previous_denominator))
            as change_cross_product_sum
    from daily_values
    where value <> previous_value or denominator <> previous_denominator
    group by experiment_id, metric_name, variation_id, exposed_on, observed_on
)

select * from final
