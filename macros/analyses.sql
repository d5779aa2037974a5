{# Pieces of the queries in `analyses/`, which vars narrow: `--vars '{experiment_id: "…"}'`. #}

{% macro asked_for(name) %}
    {#- What the var asks for, as a literal; NULL without the var. -#}
    {%- if var(name, none) is none -%}
    cast(null as string)
    {%- else -%}
    {{ optimizely_e3.text_literal(var(name)) }}
    {%- endif -%}
{%- endmacro %}

{% macro is_asked_for(column) %}
    {#- Whether a column is what the var of its name asks for; always without the var. -#}
    {{- optimizely_e3.is_any_asked_for([column]) -}}
{%- endmacro %}

{% macro is_any_asked_for(columns) %}
    {#- Whether any of the columns is what is asked for; always without all of the vars. -#}
    {%- set asked = [] -%}
    {%- for column in columns -%}
        {%- set name = column.split('.') | last -%}
        {%- if var(name, none) is not none -%}
            {%- do asked.append(column ~ ' = ' ~ optimizely_e3.asked_for(name)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- '(' ~ asked | join(' or ') ~ ')' if asked else 'true' -}}
{%- endmacro %}

{% macro experiment_in_question() %}
    {#-
        Select of the experiment that the var `experiment_id` asks for; without the var, of the one
        with the most visitors.
    -#}
    select experiment_id
    from {{ ref('dim_experiments') }}
    where {{ optimizely_e3.is_asked_for('experiment_id') }}
    order by visitor_count desc, experiment_id
    limit 1
{%- endmacro %}

{% macro counted_conversions() %}
    {#-
        Select of one row per experiment × conversion that its results count, with the visitor's
        exposure. Law: docs/counting.md, section 5.
    -#}
    select
        exposures.experiment_id,
        exposures.visitor_id,
        conversions.event_id,
        exposures.variation_id,
        conversions.session_key,
        conversions.entity_id,
        conversions.event_name,
        conversions.event_type,
        {{ optimizely_e3.event_key('conversions.event_name', 'conversions.entity_id') }}
            as event_key,
        conversions.revenue_cents,
        conversions.value,
        conversions.quantity,
        conversions.seconds_since_exposure,
        exposures.exposed_at,
        conversions.occurred_at
    from {{ ref('fct_attributed_conversions') }} as conversions
    inner join {{ ref('int_counted_exposures') }} as exposures
        on
            conversions.experiment_id = exposures.experiment_id
            and conversions.visitor_id = exposures.visitor_id
    where
        {{ optimizely_e3.is_counted('conversions') }}
{%- endmacro %}
