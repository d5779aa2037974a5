{#
    The windows of a running sum over days: `by_day` ends with the row's day, `before_day` with the
    one before it. `columns` tell apart what is summed.
#}
{% macro windows_by_day(columns) %}
    {%- set partition = 'partition by ' ~ columns | join(', ') ~ ' order by observed_on' -%}
    window
        by_day as ({{ partition }}),
        before_day as ({{ partition }} rows between unbounded preceding and 1 preceding)
{%- endmacro %}
