{#
    The metrics that every event is by itself: what each is called, its type, what it adds up, and
    its value in a row of int_event_observations, `%s` being what the column's name begins with.
#}
{% macro automatic_metrics() %}
    {{- return([
        {
            'measure': 'unique conversions',
            'metric_type': 'conversion',
            'added_up': 'events',
            'value': 'least(%sconversion_count, 1)',
        },
        {
            'measure': 'total conversions',
            'metric_type': 'count',
            'added_up': 'events',
            'value': '%sconversion_count',
        },
        {
            'measure': 'revenue',
            'metric_type': 'sum',
            'added_up': 'revenue',
            'value': '%srevenue_cents',
        },
        {
            'measure': 'value',
            'metric_type': 'sum',
            'added_up': 'value',
            'value': '%svalue',
        },
    ]) -}}
{% endmacro %}

{#
    Common tables that end in `automatic`: sums over observations of events, one row for each of
    their metrics and combination of `keys`. They are added up by event first: each observation four
    times, under the name of each metric, would be dear. Of `sums`, an expression each by name, one
    speaks of `%(now)s` and `%(before)s`.
#}
{% macro automatic_sums(observations, keys, sums) %}
{%- set metrics = optimizely_e3.automatic_metrics() -%}
summed_events as (
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for metric in metrics %}
        {%- set value = 'cast(' ~ metric.value | format('') ~ ' as double)' %}
        {%- set previous = 'cast(' ~ metric.value | format('previous_') ~ ' as double)' %}
        {%- set number = loop.index %}
        {%- for name, sum in sums.items() %}
        {{ sum | format(now=value, before=previous) }} as {{ name }}_{{ number }},
        {%- endfor %}
        {%- endfor %}
        event_key
    from {{ observations }}
    group by {{ keys | join(', ') }}, event_key
),

automatic as (
    {%- for metric in metrics %}
    {%- set number = loop.index %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for name in sums %}
        {{ name }}_{{ number }} as {{ name }},
        {%- endfor %}
        event_key || ': {{ metric.measure }}' as metric_name
    from summed_events
    {%- endfor %}
)
{%- endmacro %}
