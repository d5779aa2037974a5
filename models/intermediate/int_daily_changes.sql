{{ config(materialized='table_if_changed') }}

{%- set keys = ['experiment_id', 'variation_id', 'exposed_on', 'observed_on'] %}
{%- set sums_of_values = {
    'value_sum': 'sum(%(now)s - %(before)s)',
    'value_sum_squares': 'sum(%(now)s * %(now)s - %(before)s * %(before)s)',
    'change_sum_squares': 'sum((%(now)s - %(before)s) * (%(now)s - %(before)s))',
} %}
{%- set sums_of_denominators = {
    'denominator_sum': 'denominator - previous_denominator',
    'denominator_sum_squares':
        'denominator * denominator - previous_denominator * previous_denominator',
    'cross_product_sum': 'value * denominator - previous_value * previous_denominator',
    'denominator_change_sum_squares':
        '(denominator - previous_denominator) * (denominator - previous_denominator)',
    'change_cross_product_sum':
        '(value - previous_value) * (denominator - previous_denominator)',
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

{{ optimizely_e3.automatic_sums('event_observations', keys, sums_of_values) }},
{% endif %}
-- All that is known of days in one reading of the observations; what is left is small.
changes as (
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        metric_name,
        {%- for name, sum in sums_of_values.items() %}
        {{ sum | format(now='value', before='previous_value') }} as {{ name }},
        {%- endfor %}
        {%- for name, summed in sums_of_denominators.items() %}
        sum({{ summed }}) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from daily_values
    group by {{ keys | join(', ') }}, metric_name
    {%- if var('automatic_metrics') %}
    union all
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        metric_name,
        {%- for name in sums_of_values %}
        {{ name }},
        {%- endfor %}
        {%- for name in sums_of_denominators %}
        cast(null as double) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from automatic
    {%- endif %}
),

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
    from changes
    where
        value_sum <> 0
        or value_sum_squares <> 0
        or change_sum_squares <> 0
        or denominator_sum <> 0
        or denominator_sum_squares <> 0
        or denominator_change_sum_squares <> 0
)

select * from final
