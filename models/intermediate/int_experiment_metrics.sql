-- depends_on: {{ ref('int_event_observations') }}
{{ config(materialized='table_if_changed') }}

with

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

declared_observations as (
    select * from {{ ref('int_declared_observations') }}
),

funnel_steps as (
    select * from {{ ref('fct_funnel_steps') }}
),

{%- if var('observation_models') %}

outside_values as (
    select *
    from {{ ref('int_metric_values') }}
    where metric_origin = 'outside'
),
{%- endif %}

definitions as (
    select * from {{ ref('int_metric_definitions') }}
),

experiments as (
    select distinct experiment_id
    from exposures
),

-- What anybody has an observation of.
wanted as (
    select
        metric_name,
        'declared' as metric_origin,
        bool_or(denominator is not null) as is_ratio,
        bool_or(conversion_count is not null) as is_of_conversions
    from declared_observations
    group by metric_name
    union all
    select distinct
        metric_name,
        'declared' as metric_origin,
        false as is_ratio,
        false as is_of_conversions
    from funnel_steps
    {#- A metric of two models has two rows here, which a test finds. #}
    {%- for model in var('observation_models') %}
    union all
    select
        metric_name,
        'outside' as metric_origin,
        bool_or(denominator is not null) as is_ratio,
        false as is_of_conversions
    from outside_values
    where metric_name in (select observations.metric_name from {{ ref(model) }} as observations)
    group by metric_name
    {%- endfor %}
),
{% if var('automatic_metrics') %}
events as (
    select distinct
        experiment_id,
        event_key
    from {{ ref('int_event_observations') }}
),
{% endif %}
-- An event that nobody of an experiment did is no metric of it; what was asked for is one of all.
present as (
    select
        experiments.experiment_id,
        wanted.metric_name,
        wanted.metric_origin,
        wanted.is_ratio,
        wanted.is_of_conversions
    from experiments
    cross join wanted
    {%- if var('automatic_metrics') %}
    {%- for metric in optimizely_e3.automatic_metrics() %}
    union all
    select
        experiment_id,
        event_key || ': {{ metric.measure }}' as metric_name,
        'automatic' as metric_origin,
        false as is_ratio,
        true as is_of_conversions
    from events
    {%- endfor %}
    {%- endif %}
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
