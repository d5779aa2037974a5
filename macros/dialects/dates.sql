{# List of every date from one to another, both included; NULL where one of them is. #}
{% macro dates_between(first_date, last_date) %}
    {{- adapter.dispatch('dates_between', 'optimizely_e3')(first_date, last_date) -}}
{% endmacro %}

{% macro default__dates_between(first_date, last_date) %}
    cast(generate_series({{ first_date }}, {{ last_date }}, interval '1' day) as date[])
{%- endmacro %}

{% macro spark__dates_between(first_date, last_date) %}
    sequence({{ first_date }}, {{ last_date }}, interval '1' day)
{%- endmacro %}

{# Days from one date to another, as a bigint. #}
{% macro days_between(first_date, last_date) %}
    {{- adapter.dispatch('days_between', 'optimizely_e3')(first_date, last_date) -}}
{% endmacro %}

{% macro default__days_between(first_date, last_date) %}
    date_diff('day', {{ first_date }}, {{ last_date }})
{%- endmacro %}

{% macro spark__days_between(first_date, last_date) %}
    cast(datediff({{ last_date }}, {{ first_date }}) as bigint)
{%- endmacro %}
