{{ config(materialized='table_if_changed') }}

{%- set keys = ['experiment_id', 'variation_id', 'exposed_on', 'observed_on'] %}
{%- set sums = {
    'value_sum': 'sum(%(now)s - %(before)s)',
    'value_sum_squares': 'sum(%(now)s * %(now)s - %(before)s * %(before)s)',
    'change_sum_squares': 'sum((%(now)s - %(before)s) * (%(now)s - %(before)s))',
} %}
{%- set sums_of_denominators = {
    'denominator_sum': 'sum(denominator - previous_denominator)',
    'denominator_sum_squares':
        'sum(denominator * denominator - previous_denominator * previous_denominator)',
    'cross_product_sum': 'sum(value * denominator - previous_value * previous_denominator)',
    'denominator_change_sum_squares':
        'sum((denominator - previous_denominator) * (denominator - previous_denominator))',
    'change_cross_product_sum':
        'sum((value - previous_value) * (denominator - previous_denominator))',
} %}

with

daily_values as (
    select *
    from {{ ref('int_daily_values') }}
    where metric_origin <> 'automatic'
),
{% if var('automatic_metrics') %}
event_observations as (
    select * from {{ ref('int_event_observations') }}
),
{% endif %}
-- All that is known of days in one reading of the observations; what is left is small.
{{ optimizely_e3.metric_sums(
    'daily_values', 'event_observations', keys, sums, sums_of_denominators
) }},

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        exposed_on,
        observed_on,
        value_sum,
        value_sum_squares,
        denominator_sum,
        denominator_sum_squares,
        cross_product_sum,
        change_sum_squares,
        denominator_change_sum_squares,
        change_cross_product_sum
    from metric_sums
    where
        value_sum <> 0
        or value_sum_squares <> 0
        or change_sum_squares <> 0
        or denominator_sum <> 0
        or denominator_sum_squares <> 0
        or denominator_change_sum_squares <> 0
)

select * from final
